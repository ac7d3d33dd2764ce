"""The page `tinyadtn/tiny.py` against the library: the same weights, gradients and losses."""

import ast
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import tinyadtn as ta
from tinyadtn import tiny

PAGE = Path(tiny.__file__)
OPS = {
    "add": (tiny.add, ta.add, [(3, 4), (4,)], {}),
    "multiply": (tiny.multiply, ta.multiply, [(3, 4), (3, 1)], {}),
    "relu": (tiny.relu, ta.relu, [(3, 4)], {}),
    "reshape": (tiny.reshape, ta.reshape, [(3, 4)], {"shape": (2, 6)}),
    "getitem": (tiny.getitem, ta.getitem, [(3, 4)], {"index": ([0, 2, 0], [1, 1, 1])}),
    "a part": (tiny.getitem, ta.getitem, [(3, 4)], {"index": 1}),
    "contract": (tiny.contract, ta.contract, [(2, 3, 5), (4, 3)], {"pattern": "aqb,pq->apb"}),
    "cross-entropy": (
        tiny.softmax_cross_entropy,
        ta.softmax_cross_entropy,
        [(3, 5)],
        {"labels": np.array([4, 0, 2])},
    ),
}


def twins(depth: int) -> tuple[tiny.ADTN, ta.ADTN]:
    """The page's ADTN of fc1 and the library's, with the same gates and the same scale."""
    page = tiny.ADTN(256, 28, 28, depth, np.random.default_rng(depth))
    library = ta.ADTN((256, 784), depth, axes=(256, (28, 28)), normalized=False, rng=0)
    arrays = {f"columns.{k}": column.data for k, column in enumerate(page.columns)}
    library.load_arrays({**arrays, "scale": np.float32(page.scale)})
    return page, library


def close(page, library):
    scale = np.abs(library).max()
    np.testing.assert_allclose(page, library, rtol=1e-4, atol=1e-5 * scale)


def test_it_is_a_page():
    assert len(PAGE.read_text(encoding="utf-8").splitlines()) <= 150


def test_it_needs_numpy_and_of_the_library_the_data_alone():
    found = set()
    for node in ast.walk(ast.parse(PAGE.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    assert found == {"time", "numpy", "tinyadtn.load_data"}


@pytest.mark.parametrize("name", OPS)
def test_an_op_has_the_librarys_value_and_gradients(name):
    ours, theirs, shapes, options = OPS[name]
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=shape).astype(np.float32) for shape in shapes]
    page = [tiny.Tensor(array, requires_grad=True) for array in arrays]
    library = [ta.Tensor(array, requires_grad=True) for array in arrays]
    y, z = ours(*page, **options), theirs(*library, **options)
    close(y.data, z.data)
    g = rng.normal(size=z.shape).astype(np.float32)  # not ones: see gradcheck
    (y * g).backward()
    z.backward(g)
    for a, b in zip(page, library):
        close(a.grad, b.grad)


def test_a_tensor_that_is_used_twice_gets_both_gradients():
    x = tiny.Tensor([2.0, -3.0], requires_grad=True)
    (x * x + x).backward()
    assert x.grad.tolist() == [5, -5]


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_same_gates_decode_to_the_same_weight_with_the_same_gradients(depth):
    page, library = twins(depth)
    assert [c.data.shape for c in page.columns] == [c.shape for c in library.columns]
    assert sum(column.data.size for column in page.columns) == library.num_parameters
    weight, expected = page.decode(), library.decode()
    close(weight.data, expected.data)
    assert weight.data.std() == pytest.approx(np.sqrt(2 / 784), rel=1e-4)
    g = np.random.default_rng(0).normal(size=expected.shape).astype(np.float32)
    (weight * g).backward()
    expected.backward(g)
    for a, b in zip(page.columns, library.columns, strict=True):
        close(a.grad, b.grad)


def test_ten_steps_have_the_librarys_losses():
    page, encoding = twins(2)
    model = ta.compress(ta.models.fc2(rng=0), {"fc1": encoding}, rng=0)
    rest = [model.fc1.bias, model.fc2.weight, model.fc2.bias]
    others = [tiny.Tensor(tensor.data.copy(), requires_grad=True) for tensor in rest]
    parameters = [*page.columns, *others]
    memory = [np.zeros((2, *p.data.shape), np.float32) for p in parameters]
    optimizer, data = ta.Adam(model.parameters(), 2e-2), ta.load_data("mnist-5k").train
    losses, expected = [], []
    for count in range(1, 11):
        rows = slice(64 * count, 64 * (count + 1))
        images, labels = data.images[rows], data.labels[rows]
        loss = tiny.softmax_cross_entropy(tiny.fc2(images, page.decode(), *others), labels=labels)
        loss.backward()
        tiny.adam(parameters, memory, count, 2e-2)
        losses.append(loss.data.item())
        loss = ta.softmax_cross_entropy(model(images, training=True), labels=labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        expected.append(loss.item())
    np.testing.assert_allclose(losses, expected, rtol=1e-3)
    assert losses[-1] < losses[0]


def test_it_trains_both_and_says_how_well(capsys):
    data = ta.load_data("mnist-5k")
    some = SimpleNamespace(images=data.test.images[:200], labels=data.test.labels[:200])
    tiny.main(SimpleNamespace(train=data.train, test=some), steps=3)
    begins, dense, then, adtn = capsys.readouterr().out.splitlines()
    assert (begins, then) == ("dense trains for 3 steps …", "ADTN  trains for 3 steps …")
    assert dense.startswith("dense fc1 200,704 parameters, accuracy ")
    assert adtn.startswith("ADTN  fc1     436 parameters, accuracy ")
