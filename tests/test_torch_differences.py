"""Where tinyadtn and torch differ on purpose: all of it, each with a test that it is still so.

AT_KINKS has the slopes where none exists, REFUSALS what torch computes and we refuse, the rest is
about formulas that carry one name and are two. Behind each: what makes the two agree again.
"""

import numpy as np
import pytest
from test_ops import gradients
from test_torch import torch_gradients
from torch_leg import torch

import tinyadtn as ta
from tinyadtn.errors import DTypeError, GraphError, ShapeError

# --- slopes where there is none ------------------------------------------------------------------

# name: (function of tinyadtn, of torch, arrays, our gradients, torch's gradients)
AT_KINKS = {
    "max over everything: the first of equals wins, torch shares": (
        lambda a: ta.max(a),
        lambda t, a: a.max(),
        [[1.0, 3.0, 3.0]],
        [[0, 1, 0]],
        [[0, 0.5, 0.5]],
    ),
    "min over several axes: the first of equals wins, torch's amin shares": (
        lambda a: ta.min(a, axis=(0, 1)),
        lambda t, a: a.amin((0, 1)),
        [[[1.0, 1.0], [1.0, 2.0]]],
        [[[1, 0], [0, 0]]],
        [[[1 / 3, 1 / 3], [1 / 3, 0]]],
    ),
    "absolute at NaN: the slope is NaN, torch says 0": (
        ta.absolute,
        lambda t, a: a.abs(),
        [[np.nan]],
        [[np.nan]],
        [[0]],
    ),
    "maximum with NaN: the NaN wins, torch gives both the whole gradient": (
        ta.maximum,
        lambda t, a, b: t.maximum(a, b),
        [[np.nan], [1.0]],
        [[1], [0]],
        [[1], [1]],
    ),
    "minimum with NaN: the NaN wins, torch gives both the whole gradient": (
        ta.minimum,
        lambda t, a, b: t.minimum(a, b),
        [[1.0], [np.nan]],
        [[0], [1]],
        [[1], [1]],
    ),
}

# the same, where torch agrees at the border
AGREEMENTS = {
    "max along an axis": (
        lambda a: ta.max(a, axis=0),
        lambda t, a: a.max(0).values,
        [[1.0, 3.0, 3.0]],
    ),
    "maximum": (ta.maximum, lambda t, a, b: t.maximum(a, b), [[2.0, 1.0], [2.0, 3.0]]),
    "minimum": (ta.minimum, lambda t, a, b: t.minimum(a, b), [[2.0, 1.0], [2.0, 3.0]]),
    "relu": (ta.relu, lambda t, a: a.relu(), [[0.0, -0.0]]),
    "leaky_relu": (
        ta.leaky_relu,
        lambda t, a: t.nn.functional.leaky_relu(a, 0.01),
        [[0.0, -0.0]],
    ),
    "absolute": (ta.absolute, lambda t, a: a.abs(), [[0.0, -0.0]]),
    "power": (ta.power, lambda t, a, b: a**b, [[0.0, 0.0, 0.0, 2.0], [0.0, 1.0, 2.0, 0.0]]),
    "power of infinity": (lambda a: a**0, lambda t, a: a**0, [[np.inf, -np.inf]]),
    "where": (
        lambda a, b: ta.where(np.array([True, False]), a, b),
        lambda t, a, b: t.where(t.tensor([True, False]), a, b),
        [[1.0, np.nan], [np.inf, 2.0]],
    ),
}


def both(ours, theirs, arrays):
    arrays = [np.array(a) for a in arrays]
    value, grads = gradients(ours, arrays, np.ones(np.shape(ours(*arrays).data)))
    torch_value, torch_grads = torch_gradients(theirs, arrays, np.ones(value.shape))
    np.testing.assert_array_equal(value.data, torch_value)
    return grads, torch_grads


@pytest.mark.parametrize("name", AT_KINKS)
def test_a_difference_at_a_kink_is_still_there(name):
    ours, theirs, arrays, our_grads, torch_grads = AT_KINKS[name]
    found = both(ours, theirs, arrays)
    for grads, expected in zip(found, (our_grads, torch_grads)):
        for a, b in zip(grads, expected):
            np.testing.assert_allclose(a, b, rtol=1e-15)
    assert our_grads != torch_grads


@pytest.mark.parametrize("name", AGREEMENTS)
def test_torch_agrees_at_the_borders(name):
    for a, b in zip(*both(*AGREEMENTS[name])):
        np.testing.assert_array_equal(a, b)


# --- what is refused here ------------------------------------------------------------------------

# what: (our call, the error, torch's call, whether its answer is NaN, else its shape)
NOTHING = np.zeros((0, 3))
REFUSALS = {
    "the mean of no elements: torch says NaN": (
        lambda: ta.mean(NOTHING),
        ShapeError,
        lambda: torch.from_numpy(NOTHING).mean(),
        "nan",
    ),
    "the loss of no images: torch says NaN": (
        lambda: ta.softmax_cross_entropy(NOTHING, labels=np.zeros(0, int)),
        ShapeError,
        lambda: torch.nn.functional.cross_entropy(
            torch.from_numpy(NOTHING), torch.zeros(0, dtype=torch.int64)
        ),
        "nan",
    ),
    "softmax along an axis of no length: torch gives nothing back": (
        lambda: ta.softmax(NOTHING, axis=0),
        ShapeError,
        lambda: torch.from_numpy(NOTHING).softmax(0),
        (0, 3),
    ),
    "a squared error of two shapes: torch broadcasts, and warns": (
        lambda: ta.mean_squared_error(np.zeros((2, 3)), np.zeros(3)),
        ShapeError,
        lambda: torch.nn.functional.mse_loss(
            torch.zeros((2, 3), dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
        ),
        (),
    ),
    "half precision: torch computes in it": (
        lambda: ta.exp(np.zeros(3, np.float16)),
        DTypeError,
        lambda: torch.zeros(3, dtype=torch.float16).exp(),
        (3,),
    ),
    "assignment into a tensor: torch records it": (
        lambda: ta.Tensor([1.0, 2.0]).__setitem__(0, 5.0),
        GraphError,
        lambda: torch.zeros(3).__setitem__(0, 5.0) or torch.zeros(3),
        (3,),
    ),
}


@pytest.mark.filterwarnings("ignore:Using a target size")
@pytest.mark.parametrize("what", REFUSALS)
def test_what_torch_computes_is_still_refused(what):
    ours, error, theirs, answer = REFUSALS[what]
    with pytest.raises(error):
        ours()
    found = theirs()
    assert bool(found.isnan()) if answer == "nan" else tuple(found.shape) == answer


def test_a_gradient_cannot_be_differentiated_again_but_torch_can():
    x = ta.Tensor([2.0], requires_grad=True)
    (x**3).backward()
    assert type(x.grad) is np.ndarray  # first derivatives only
    y = torch.tensor([2.0], requires_grad=True)
    (slope,) = torch.autograd.grad(y**3, y, create_graph=True)
    (curvature,) = torch.autograd.grad(slope, y)
    assert curvature.item() == 12


# --- one name, two formulas ----------------------------------------------------------------------


def one_step(make_ours, make_theirs):
    """The parameter after one step, from 1, with the gradient 0.5: ours and torch's."""
    p = ta.Tensor(np.array([1.0]), requires_grad=True)
    p.grad = np.array([0.5])
    make_ours([p]).step()
    q = torch.tensor([1.0], dtype=torch.float64, requires_grad=True)
    q.grad = torch.tensor([0.5], dtype=torch.float64)
    make_theirs([q]).step()
    return p.data.item(), q.item()


def test_weight_decay_of_sgd_is_apart_from_the_gradient():
    """Decoupled, as in AdamW; in torch's SGD it is added to the gradient, and goes into momentum.

    Without momentum a step is the same. With it, shrink first and let torch do the rest.
    """
    options = {"momentum": 0.9, "weight_decay": 0.5}
    ours = ta.Tensor(np.array([1.0]), requires_grad=True)
    theirs, apart = (torch.tensor([1.0], dtype=torch.float64, requires_grad=True) for _ in range(2))
    sgd = ta.SGD([ours], 0.1, **options)
    coupled = torch.optim.SGD([theirs], 0.1, **options)
    decoupled = torch.optim.SGD([apart], 0.1, momentum=0.9)
    for _ in range(3):
        ours.grad = np.array([0.5])
        theirs.grad = torch.tensor([0.5], dtype=torch.float64)
        apart.grad = torch.tensor([0.5], dtype=torch.float64)
        sgd.step()
        coupled.step()
        with torch.no_grad():
            apart *= 1 - 0.1 * 0.5
        decoupled.step()
    assert abs(ours.data.item() - theirs.item()) > 1e-2
    assert ours.data.item() == pytest.approx(apart.item(), rel=1e-14)


def test_weight_decay_of_adam_is_that_of_adamw():
    options = {"lr": 0.1, "weight_decay": 0.5}
    ours, adam = one_step(
        lambda p: ta.Adam(p, 0.1, weight_decay=0.5), lambda q: torch.optim.Adam(q, **options)
    )
    _, adamw = one_step(
        lambda p: ta.Adam(p, 0.1, weight_decay=0.5), lambda q: torch.optim.AdamW(q, **options)
    )
    assert ours == pytest.approx(adamw, rel=1e-14)
    assert abs(ours - adam) > 1e-2


def test_clipping_reaches_the_norm_exactly():
    """Ours multiplies by clip/norm, torch by clip/(norm + 1e-6)."""
    p = ta.Tensor(np.array([0.0]), requires_grad=True)
    p.grad = np.array([4.0])
    ta.SGD([p], 1.0, clip=2.0).step()
    q = torch.tensor([0.0], dtype=torch.float64, requires_grad=True)
    q.grad = torch.tensor([4.0], dtype=torch.float64)
    torch.nn.utils.clip_grad_norm_([q], 2.0)
    assert p.data.item() == -2.0
    assert q.grad.item() == pytest.approx(2.0 * 4 / (4 + 1e-6), rel=1e-15) != 2.0


@pytest.mark.parametrize(("steps", "warmup"), [(10, 0.3), (100, 0.25), (37, 0.5)])
def test_one_cycle_turns_at_its_share_of_the_steps(steps, warmup):
    """Both reach the end at the last step. Ours reaches the peak at warmup·(steps - 1), a whole
    step if the schedule is short, torch at warmup·steps - 1, and torch divides its first rate for
    its last. Given that, they are the same.
    """
    turn = warmup * (steps - 1)
    turn = round(turn) if steps == 10 else turn
    ours = [ta.OneCycle(peak=2.0, steps=steps, warmup=warmup)(k) for k in range(steps)]

    def theirs(total, share, last):
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 1.0)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, 2.0, total_steps=total, pct_start=share, final_div_factor=last,
            cycle_momentum=False,
        )  # fmt: skip
        rates = []
        for _ in range(total):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            if len(rates) < total:
                schedule.step()
        return rates

    plain = theirs(steps, warmup, 1e4)
    assert max(abs(a - b) for a, b in zip(ours, plain)) > 1e-3
    told = theirs(steps, (turn + 1) / steps, 1e4 / 25)
    np.testing.assert_allclose(ours, told, rtol=1e-9)


def test_the_alpha_of_a_local_response_multiplies_the_sum_of_squares():
    """As in the paper; torch divides it by the size first."""
    x = np.random.default_rng(0).normal(size=(2, 5, 3, 4))
    ours = ta.local_response_norm(x, size=3, alpha=0.6, beta=0.75).data
    theirs = [
        torch.nn.functional.local_response_norm(torch.from_numpy(x), 3, a, 0.75, 2.0).numpy()
        for a in (0.6, 3 * 0.6)
    ]
    assert np.abs(ours - theirs[0]).max() > 1e-2
    np.testing.assert_allclose(ours, theirs[1], rtol=1e-12)


def test_running_statistics_are_told_and_not_counted():
    """Ours has no counter of batches, which torch keeps beside the same two statistics."""
    ours = {name for name, _ in ta.BatchNorm2d(3).named_tensors()}
    theirs = set(torch.nn.BatchNorm2d(3).state_dict())
    assert len(ours) == 4
    assert theirs - {"weight", "bias", "running_mean", "running_var"} == {"num_batches_tracked"}


def test_a_gradient_is_an_array_and_not_a_tensor():
    x, y = ta.Tensor([1.0], requires_grad=True), torch.tensor([1.0], requires_grad=True)
    (x * 2).backward()
    (y * 2).backward()
    assert type(x.grad) is np.ndarray and type(y.grad) is torch.Tensor


def test_python_numbers_become_float32_lists_of_integers_too():
    assert ta.Tensor([1, 2]).dtype == np.float32
    assert torch.tensor([1, 2]).dtype == torch.int64
