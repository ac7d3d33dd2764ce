"""by_definition: the same values, without any fast path."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

import tinyadtn as ta


def entered(call):
    """The functions of the package that a call enters, as file:function."""
    found, package = set(), str(Path(ta.__file__).parent)

    def look(frame, event, argument):
        if frame.f_code.co_filename.startswith(package):
            file = Path(frame.f_code.co_filename).relative_to(package).as_posix()
            found.add(f"{file}:{frame.f_code.co_name}")

    sys.setprofile(look)
    try:
        call()
    finally:
        sys.setprofile(None)
    return found


WIDE = ta.Linear(4096, 16, rng=0)


def encoded(weight, layer=WIDE):
    return ta.compress(ta.Sequential(layer=layer), {"layer": weight}, rng=0)


BY_DEFINITION = {
    "a brick wall": (lambda: encoded(2), (4, 4096)),
    "a brick wall of one layer": (lambda: encoded(1), (4096, 4096)),
    "a chain": (lambda: encoded(ta.LowRank.like(1)), (4, 4096)),
    "Winograd": (lambda: ta.Conv2d(32, 32, 3, rng=0, padding=1), (16, 32, 8, 8)),
    "blocks": (lambda: ta.Conv2d(8, 8, 5, rng=0), (64, 8, 32, 32)),
    "a row": (lambda: encoded(ta.LowRank.like(2), ta.Conv2d(64, 64, 3, rng=0)), (4, 64, 8, 8)),
}


@pytest.mark.parametrize("make, shape", BY_DEFINITION.values(), ids=list(BY_DEFINITION))
def test_by_definition_takes_no_fast_path(make, shape):
    model, results = make(), []
    parameters = list(model.parameters())
    data = np.random.default_rng(0).normal(size=shape).astype(np.float32)

    def both_passes():
        x = ta.Tensor(data, requires_grad=True)
        (model(x) ** 2).sum().backward()
        results.append([x.grad, *[p.grad for p in parameters]])
        for parameter in parameters:
            parameter.grad = None

    usual = entered(both_passes)
    with ta.by_definition():
        plain = entered(both_passes)
    fast = re.compile(r"/fast/.*:(?!applies)|decode_free/(chain|row|wall_chain)")
    assert any(map(fast.search, usual)) and not [*filter(fast.search, plain)]
    is_wall = any(".columns." in name for name, _ in model.named_parameters())
    assert ("tensor_networks/gates.py:apply_gate" in plain - usual) == is_wall
    for a, b in zip(*results):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4 * abs(b).max())


def test_by_definition_an_adtn_keeps_its_factors():
    """The switch selects how a weight is computed, and not what it is."""
    weight = ta.ADTN((64, 64), order="output_first", rng=0)
    usual = [factor.data for factor in weight.factors()]
    with ta.by_definition():
        for factor, expected in zip(weight.factors(), usual, strict=True):
            np.testing.assert_array_equal(factor.data, expected)


def test_the_path_in_the_docs_leads_through_the_files_that_it_names():
    """And it is taken inside ``by_definition``, or it would not enter ``gates.py:apply_gate``."""
    page = (Path(__file__).parents[1] / "docs" / "reading.md").read_text(encoding="utf-8")
    table = page.partition("## One path")[2].partition("[Equations]")[0]
    data = ta.load_data("mnist-5k")

    def path():
        model = ta.models.fc2(rng=0)
        ta.softmax_cross_entropy(
            model(data.train.images[:8]), labels=data.train.labels[:8]
        ).backward()
        for _ in ta.train(model, data, epochs=1):
            break
        small = ta.compress(model, {"fc1": 1}, rng=0)
        small.fc1.weight.decode()
        ta.evaluate(small, data.test)

    with ta.by_definition():
        functions = entered(path)
    named = re.findall(r"`([a-z_]+/[a-z_]+\.py)`", table)
    assert len(named) > 15 and set(named) <= {place.partition(":")[0] for place in functions}
    assert "tensor_networks/gates.py:apply_gate" in functions
