"""The differential leg: every op, its value and its gradients, against torch.

Where torch decides otherwise on purpose is in test_torch_differences.
"""

from pathlib import Path

import numpy as np
import pytest
from op_table import ROWS
from test_ops import cotangent_for, gradients
from torch_leg import torch

import tinyadtn as ta

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
CONTRACTIONS = {"matmul", "contract", "conv2d", "conv_transpose2d"}
# A gradient that is a small difference of large terms is judged by these, not by what is left. Of
# batch norm over two values a channel nearly nothing is left: 3.1e-5 at most for one of the seeds,
# of terms around 1, and 2.6e-7 (two roundings of float32) or 2.3e-15 of these apart from torch's.
SUMMED = {"batch_norm": 1.0}


def torch_gradients(function, arrays, cotangent):
    inputs = [torch.tensor(a, requires_grad=True) for a in arrays]
    value = function(torch, *inputs)
    value.backward(torch.tensor(cotangent, dtype=value.dtype))
    return value.detach().numpy(), [x.grad.numpy() for x in inputs]


def compare(row, arrays, tolerance):
    """Every number within the tolerance, relative to the largest of its array: see SUMMED."""
    g = cotangent_for(row).astype(arrays[0].dtype)
    value, grads = gradients(row, arrays, g)
    torch_value, torch_grads = torch_gradients(row.torch, arrays, g)
    for ours, theirs in zip([value.data, *grads], [torch_value, *torch_grads]):
        assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
        scale = max(SUMMED.get(row.name, 0.0), np.abs(theirs).max(initial=0))
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("row", ROWS, ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_float64(row, seed):
    compare(row, row.draw(seed), 1e-11 if row.name in CONTRACTIONS else 1e-12)


@pytest.mark.parametrize("row", ROWS, ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_float32(row, seed):
    compare(row, row.draw(seed, np.float32), 2e-5)


@pytest.mark.parametrize("row", [row for row in ROWS if row.empty], ids=str)
@pytest.mark.filterwarnings("ignore:(var|std)")  # torch divides 0 by 0 to count the elements
def test_zero_size(row):
    arrays = row.draw(shapes=row.empty)
    g = np.ones(row(*arrays).shape)
    value, grads = gradients(row, arrays, g)
    torch_value, torch_grads = torch_gradients(row.torch, arrays, g)
    np.testing.assert_array_equal(value.data, torch_value)
    for ours, theirs in zip(grads, torch_grads):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("size", [1e2, 1e4])
def test_cross_entropy_of_large_logits(size):
    rng = np.random.default_rng(0)
    logits, labels = rng.uniform(-size, size, (5, 4)), np.array([0, 3, 1, 2, 0])
    value, (grad,) = gradients(
        lambda a: ta.softmax_cross_entropy(a, labels=labels), [logits], np.array(1.0)
    )
    torch_value, (torch_grad,) = torch_gradients(
        lambda t, a: t.nn.functional.cross_entropy(a, t.from_numpy(labels)), [logits], 1.0
    )
    np.testing.assert_allclose(value.data, torch_value, rtol=1e-12)
    np.testing.assert_allclose(grad, torch_grad, rtol=1e-12, atol=1e-15)


def test_a_small_network_end_to_end():
    """Three layers with shared and reused values: loss and all gradients."""
    rng = np.random.default_rng(1)
    x, labels = rng.normal(size=(6, 5)), np.array([0, 1, 2, 2, 1, 0])
    weights = [rng.normal(size=s) for s in [(4, 5), (4,), (3, 4), (3,)]]

    def ours(w1, b1, w2, b2):
        hidden = ta.tanh(ta.contract(x, w1, pattern="ni,oi->no") + b1)
        hidden = ta.relu(hidden * hidden - 0.3) + hidden / 2
        return ta.softmax_cross_entropy(hidden @ w2.T + b2, labels=labels)

    def theirs(t, w1, b1, w2, b2):
        hidden = (t.from_numpy(x) @ w1.T + b1).tanh()
        hidden = (hidden * hidden - 0.3).relu() + hidden / 2
        return t.nn.functional.cross_entropy(hidden @ w2.T + b2, t.from_numpy(labels))

    value, grads = gradients(ours, weights, np.array(1.0))
    torch_value, torch_grads = torch_gradients(theirs, weights, 1.0)
    np.testing.assert_allclose(value.data, torch_value, rtol=1e-12)
    for a, b in zip(grads, torch_grads):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13)


# --- docs/ops.md ---------------------------------------------------------------------------------

RECIPES = {  # what the page advises to write, and torch's function
    "ta.maximum(x, 0) + ta.log1p(ta.exp(-abs(x)))": lambda t, x: t.nn.functional.softplus(x),
    "ta.minimum(x, 0) - ta.log1p(ta.exp(-abs(x)))": lambda t, x: t.nn.functional.logsigmoid(x),
    "(ta.expm1(x) - ta.expm1(-x)) / 2": lambda t, x: x.sinh(),
    "(ta.exp(x) + ta.exp(-x)) / 2": lambda t, x: x.cosh(),
    "ta.arctan2(x, ((1 - x) * (1 + x)) ** 0.5)": lambda t, x: x.arcsin(),
    "ta.arctan2(((1 - x) * (1 + x)) ** 0.5, x)": lambda t, x: x.arccos(),
    "ta.concatenate(x, x, x)": lambda t, x: t.tile(x, (3, 1)),
    "x[::-1]": lambda t, x: x.flip(0),
    "ta.concatenate(x[-1:], x[:-1])": lambda t, x: x.roll(1, 0),
    "ta.sum(abs(x))": lambda t, x: t.linalg.vector_norm(x, 1),
    "ta.max(abs(x))": lambda t, x: t.linalg.vector_norm(x, t.inf),
    "(x - x.mean(-1, True)) / (x.var(-1, True) + 1e-5).sqrt()": lambda t, x: (
        t.nn.functional.layer_norm(x, (4,))
    ),
    "ta.avg_pool2d(x, **o) / ta.avg_pool2d(np.ones(x.shape), **o)": lambda t, x: (
        t.nn.functional.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
    ),
}


@pytest.mark.parametrize("text", RECIPES)
def test_what_the_page_advises_is_right_and_has_the_right_gradient(text):
    assert f"`{text}`" in (Path(__file__).parents[1] / "docs" / "ops.md").read_text("utf-8")
    a = np.random.default_rng(0).uniform(-0.9, 0.9, (3, 4) if "pool" not in text else (2, 3, 5, 4))
    names = {"ta": ta, "np": np, "o": {"kernel": 3, "stride": 2, "padding": 1}}
    x, y = ta.Tensor(a, requires_grad=True), torch.tensor(a, requires_grad=True)
    value, expected = eval(text, {**names, "x": x}), RECIPES[text](torch, y)
    np.testing.assert_allclose(value.data, expected.detach().numpy(), rtol=1e-12)
    g = np.random.default_rng(1).normal(size=value.shape)
    value.backward(g)
    expected.backward(torch.tensor(g))
    np.testing.assert_allclose(x.grad, y.grad.numpy(), rtol=1e-11, atol=1e-13)
