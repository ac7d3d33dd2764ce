"""Checks of notebook 09: the training loop, depths within a budget, the bill, a tiny recipe."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

import tinyadtn as ta
from tinyadtn import ADTN
from tinyadtn.course import asking
from tinyadtn.teach import exercise
from tinyadtn.teach.exercises import parts

# --- training loop -------------------------------------------------------------------------------


def _loop(
    model,
    images,
    labels,
    steps,
    learning_rate,
    rng,
    *,
    rate: Callable[[int, int], float] = lambda k, steps: 1 - k / steps,
    reset: bool = True,
    late: bool = False,
) -> Iterator[float]:
    optimizer = ta.Adam(model.parameters(), clip=1.0)
    for k in range(steps):
        batch = rng.choice(len(images), size=128)
        loss = ta.softmax_cross_entropy(model(images[batch]), labels=labels[batch])
        loss.backward()
        optimizer.step(learning_rate * rate(k, steps))
        if reset:
            optimizer.zero_grad()
        if late:  # the loss after the step
            loss = ta.softmax_cross_entropy(model(images[batch]), labels=labels[batch])
        yield loss.item()


def _with(**options: Any) -> Callable:
    return lambda *arguments: _loop(*arguments, **options)


def _never_learns(model, images, labels, steps, learning_rate, rng):
    for _ in range(steps):
        batch = rng.choice(len(images), size=128)
        yield ta.softmax_cross_entropy(model(images[batch]), labels=labels[batch]).item()


@exercise(
    "training loop",
    hints=(
        "Before the loop: optimizer = ta.Adam(model.parameters(), clip=1.0).",
        "In the loop: loss, loss.backward(), optimizer.step(…), optimizer.zero_grad(), yield.",
        "The rate of step k is learning_rate * (1 - k / steps); yield loss.item().",
    ),
    wrong=(
        _with(reset=False),  # gradients of all steps add up
        _with(rate=lambda k, steps: 1.0),
        _with(rate=lambda k, steps: 1 - (k + 1) / steps),  # the last step has rate 0
        _with(rate=lambda k, steps: -(1 - k / steps)),  # uphill
        _with(late=True),
        _never_learns,
        lambda *arguments: list(_loop(*arguments))[:-1],
    ),
    tolerance=1e-5,
    ask=asking.losses_and_parameters,
)
def training_loop(answer, rng):
    """Losses and parameters after 1, 3 and 6 steps, as the reference gives them."""
    seed = int(rng.integers(1000))  # one for all: the smallest case is that of the fewest steps
    for steps, frozen in ((1, False), (3, False), (6, True)):
        problem = seed, frozen, steps, 0.05
        case = f"{steps} step{'s' * (steps > 1)}, first layer {'frozen' if frozen else 'an ADTN'}"
        right, right_parameters = asking.losses_and_parameters(_loop, *problem)
        got = answer(*problem)
        losses, parameters = got
        yield f"{case}: how many losses", len(right), len(losses)
        yield f"{case}: the losses", right, losses
        for name, values in right_parameters.items():
            yield f"{case}: {name} at the end", values, parameters[name]


# --- frozen control ------------------------------------------------------------------------------


def _frozen(model, layer, seed, *, copy=True, trained=False, std=None, fan=1, values=None):
    small = model.copy() if copy else model
    old = getattr(small, layer).weight
    std = np.sqrt(2 / old.shape[fan]) if std is None else std
    values = std * np.random.default_rng(seed).normal(size=old.shape) if values is None else values
    getattr(small, layer).weight = ta.Tensor(np.float32(values), requires_grad=trained)
    return small


@exercise(
    "frozen control",
    hints=(
        "getattr(model, layer).weight.shape is (outputs, inputs): draw as many normal entries.",
        "Multiply by np.sqrt(2 / inputs). A ta.Tensor is trained only with requires_grad=True.",
        "return my_compress(model, layer, ta.Tensor(values.astype(np.float32)))",
    ),
    wrong=(
        lambda *given: _frozen(*given, trained=True),
        lambda *given: _frozen(*given, copy=False),
        lambda *given: _frozen(*given, std=1.0),
        lambda *given: _frozen(*given, fan=0),
        lambda *given: _frozen(*given, std=0.0),
        lambda model, layer, seed: _frozen(model, layer, 0),  # every seed the same
        lambda model, layer, seed: _frozen(model, layer, None),  # another one in each call
        lambda model, layer, seed: _frozen(model, "fc1", seed),
        lambda model, layer, seed: _frozen(
            model, layer, 0, values=getattr(model, layer).weight.data
        ),
        lambda *given: _frozen(
            *given, values=0.2 * np.random.default_rng(given[2]).normal(size=784)
        ),
        lambda model, layer, seed: model.copy(),
    ),
    ask=asking.control,
)
def frozen_control(answer, rng):
    """What is trained, the size of the entries, one draw for each seed, and the model itself."""
    names = ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"]
    seed = int(rng.integers(1000))
    for layer, inputs in (("fc1", 50), ("fc2", 40)):
        entries, trained, stayed = parts(answer(layer, seed), 3)
        right = ", ".join(name for name in names if name != f"{layer}.weight")
        yield f'layer "{layer}": what is trained', right, trained
        yield f'layer "{layer}": the given network stays as it is', True, bool(stayed)
        shape = (40, 50) if layer == "fc1" else (30, 40)
        yield f'layer "{layer}": the shape of the weight', str(shape), str(np.shape(entries))
        std, wanted = float(np.std(entries)), math.sqrt(2 / inputs)
        case = f"{inputs} inputs: a standard deviation of about {wanted:.2f}, yours is {std:.2f}"
        yield case, True, abs(std - wanted) < 0.1 * wanted
        again, other = answer(layer, seed)[0], answer(layer, seed + 1)[0]
        yield "the same seed again: the same entries", True, np.array_equal(again, entries)
        yield "another seed: other entries", True, not np.array_equal(other, entries)


# --- spend ---------------------------------------------------------------------------------------

SITES, BUDGET = (16, 14, 11), 600  # of the linear layers of LeNet-5


def _stored(depths: Sequence[int]) -> int:
    return sum(16 * m * (q - 1) - 12 * (q // 2) for q, m in zip(SITES, depths))


@exercise(
    "spend",
    hints=(
        "At depth 1 the layers store 368. One more layer of depth on Q sites costs 16·(Q − 1).",
        "There are 232 parameters left, and the prices are 240, 208 and 160.",
        "One step fits, and the dearest that does is that of the second layer.",
    ),
    wrong=(
        (1, 1, 1),
        (1, 1, 2),  # 528
        (2, 1, 1),  # 608
        (0, 1, 3),  # no layer at all
        (1.5, 1, 1),
    ),
)
def spend(answer, rng):
    """No other depths store more within the budget."""
    if callable(answer):
        yield "a tuple of three depths", True, None
    depths = parts(answer, 3)
    whole = all(isinstance(m, int) and m >= 1 for m in depths)
    yield "depths are whole numbers, 1 or more", True, whole
    stored = _stored(depths)
    most = max(s for s in map(_stored, itertools.product(range(1, 4), repeat=3)) if s <= BUDGET)
    yield f"{stored} parameters: at most {BUDGET}", True, stored <= BUDGET
    yield f"{stored} parameters: as many as possible", True, stored >= most


# --- bill ----------------------------------------------------------------------------------------


def _bill(q, m, o, i, *, first=1, size=None, bytes_each=4, per_first=4):
    fresh = q // 2
    others = m * (q - 1) - fresh
    size = 2**q if size is None else size
    return (
        bytes_each * (per_first * fresh + 16 * others),
        size * (first * fresh + 4 * others),
        o * i,
    )


@exercise(
    "bill",
    hints=(
        "Gates of the very first column: Q // 2. All others: M·(Q - 1) - Q // 2.",
        "Bytes: 4 per stored parameter. A first gate stores 4 parameters, any other 16.",
        "Decode: 2**Q · (first + 4·others). One image: outputs · inputs.",
    ),
    wrong=(
        lambda q, m, o, i: _bill(q, m, o, i, first=4),
        lambda q, m, o, i: _bill(q, m, o, i, size=o * i),  # T is padded to 2^Q
        lambda q, m, o, i: _bill(q, m, o, i, bytes_each=1),
        lambda q, m, o, i: _bill(q, m, o, i, per_first=16),
        lambda q, m, o, i: (*_bill(q, m, o, i)[:2], 2**q),
    ),
)
def bill(answer, rng):
    """Compare with the columns of an ADTN of the library, counted one by one."""
    for largest in (4, 4, 8, 8, 30, 30, 100, 100, 500, 500):
        outputs, inputs = (int(n) for n in rng.integers(3, largest + 1, size=2))
        depth = int(rng.integers(1, 5))
        adtn = ADTN((outputs, inputs), depth)
        terms = sum(len(c.pairs) * (1 if c.fresh else 4) for c in adtn.wall)
        decode = adtn.sites.padded_size * terms
        right = 4 * adtn.num_parameters, decode, math.prod(adtn.shape)
        got = answer(adtn.num_sites, depth, outputs, inputs)
        case = f"Q = {adtn.num_sites}, M = {depth}, {outputs} outputs, {inputs} inputs"
        yield case, right, got


# --- tiny recipe ---------------------------------------------------------------------------------

_scores: dict[str, tuple[int, float]] = {}  # a recipe is trained once


def _score(recipe: Any) -> tuple[int, float]:
    """Parameters of fc1, and the mean validation accuracy in % of four short runs."""
    key = repr(recipe)
    if key not in _scores:
        data, percents, stored = ta.load_data("mnist-5k"), [], 0
        for seed in range(4):
            network = ta.compress(ta.models.fc2(rng=seed), {"fc1": recipe}, rng=seed)
            stored = ta.report(network).rows[0].counts.stored
            draws = np.random.default_rng(seed)
            steps = 150 if stored <= 100 else 0  # too many already
            for _loss in _loop(network, data.train.images, data.train.labels, steps, 4e-2, draws):
                pass
            percents.append(100 * ta.evaluate(network, data.validation).accuracy)
        _scores[key] = stored, float(np.mean(percents))
    return _scores[key]


@exercise(
    "tiny recipe",
    hints=(
        "Low rank has at least 1,040 parameters, an ADTN 164. Try tensor trains with small modes.",
        "With all bonds of size 1, six cores store about 50. Which bond is worth the size 2?",
        "Let the input modes be (2, 2, 7, 2, 2, 7): the bond in the middle joins rows and columns.",
    ),
    wrong=(
        ta.ADTN.like(1),
        ta.TensorTrain.like(((2,) * 8 + (1,) * 6, (1,) * 8 + (2, 2, 7, 2, 2, 7)), 1),
        ta.LowRank.like(1),
        ta.Frozen.like(),
        ta.TensorTrain.like(((4, 4, 4, 4), (4, 7, 7, 4)), 2),
    ),
    ask=asking.recipe_parts,
)
def tiny_recipe(answer, rng):
    """Train FC-2 with it, four times for 150 steps."""
    given = answer()
    stored, percent = _score(asking.recipe_of(*given))
    most, least = "at most 100 parameters", "at least 92.5 %"
    yield "its size", most, most if stored <= 100 else f"{stored:,} parameters"
    yield "the mean validation accuracy", least, least if percent >= 92.5 else f"{percent:.1f} %"
