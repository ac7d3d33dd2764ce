"""Methods and operators of a Tensor are the ops, and NumPy's functions name them."""

import contextlib
import operator
import re

import numpy as np
import pytest

import tinyadtn as ta
from tinyadtn.errors import GraphError
from tinyadtn.ops import other_names

X = np.array([[0.5, 2.0, 1.0], [3.0, 0.25, 4.0]])
METHODS = {
    **{name: ((), {}) for name in ("exp", "log", "sqrt", "sin", "cos", "tanh", "sigmoid", "relu")},
    **{name: ((), {"axis": 1}) for name in ("sum", "mean", "max", "min", "prod", "norm")},
    "var": ((), {"axis": 0, "ddof": 1, "keepdims": True}),
    "std": ((), {"axis": 0, "ddof": 1, "keepdims": True}),
    "logsumexp": ((), {"axis": (0, 1)}),
    "clip": ((), {"min": 0.3, "max": 2.5}),
    "softmax": ((), {"axis": 0}),
    "log_softmax": ((), {"axis": 0}),
    "cumsum": ((), {"axis": 1}),
    "squeeze": ((), {}),
    "expand_dims": ((), {"axis": 1}),
}


@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_its_op(name):
    arguments, options = METHODS[name]
    x, y = ta.Tensor(X, requires_grad=True), ta.Tensor(X, requires_grad=True)
    value = getattr(x, name)(*arguments, **options)
    expected = getattr(ta, name)(y, *arguments, **options)
    np.testing.assert_array_equal(value.data, expected.data)
    g = np.random.default_rng(0).normal(size=value.shape)
    value.backward(g)
    expected.backward(g)
    np.testing.assert_array_equal(x.grad, y.grad)


def test_methods_take_the_axis_by_position_as_numpy_does():
    x = ta.Tensor(X)
    for name in ("sum", "mean", "max", "min", "prod", "var", "std"):
        np.testing.assert_allclose(getattr(x, name)(0).data, getattr(np, name)(X, 0))
        np.testing.assert_allclose(getattr(x, name)(1, True).data.shape, (2, 1))
    np.testing.assert_array_equal(x.clip(1, 2).data, X.clip(1, 2))
    np.testing.assert_array_equal(x.cumsum(1).data, X.cumsum(1))
    np.testing.assert_allclose(x.softmax(0).data.sum(0), 1)


IN_PLACE = {
    "+": operator.iadd,
    "-": operator.isub,
    "*": operator.imul,
    "/": operator.itruediv,
    "**": operator.ipow,
    "@": operator.imatmul,
}


@pytest.mark.parametrize("sign", IN_PLACE)
@pytest.mark.parametrize("recording", [True, False])
def test_a_parameter_is_not_replaced_by_an_update_in_place(sign, recording):
    """``w -= 0.1 * w.grad`` would bind the name w to a new tensor, and train nothing."""
    model = ta.models.fc2(rng=0)
    weight, before = model.fc1.weight, model.fc1.weight.data.copy()
    weight.grad = np.ones_like(before)
    error = pytest.raises(GraphError, match=re.escape(f"write w.data {sign}= …"))
    with contextlib.nullcontext() if recording else ta.no_grad(), error:
        model.fc1.weight = IN_PLACE[sign](model.fc1.weight, before.T)
    assert model.fc1.weight is weight and model.num_parameters == 203_530
    np.testing.assert_array_equal(weight.data, before)


@pytest.mark.parametrize("sign", IN_PLACE)
def test_any_other_tensor_is_replaced_by_an_update_in_place(sign):
    x = ta.Tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    for start in (x * 1, ta.Tensor(x.data), ta.Tensor(x.data, requires_grad=True)):
        total = IN_PLACE[sign](start, x)
        np.testing.assert_array_equal(total.data, eval(f"a {sign} a", {"a": x.data}))
        total.sum().backward()
        np.testing.assert_array_equal(start.data, x.data)


@pytest.mark.parametrize(
    "call", [lambda x: x.clip(0, 1, 2), lambda x: x.flatten(start_dim=1), lambda x: x.sum(0, 1, 2)]
)
def test_a_method_that_is_called_wrongly_has_its_name_in_the_message(call):
    with pytest.raises(TypeError, match=r"^Tensor\.(clip|flatten|sum)\(\) "):
        call(ta.Tensor(X))


def test_abs_flatten_and_unary_plus():
    x = ta.Tensor(-X, requires_grad=True)
    np.testing.assert_array_equal(x.abs().data, X)
    assert (+x).data is x.data
    assert x.flatten().shape == (6,)
    y = ta.Tensor(np.zeros((2, 3, 0, 4)))
    assert (y.flatten(1).shape, y.flatten(2).shape, y.flatten().shape) == ((2, 0), (2, 3, 0), (0,))


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x: np.sin(x), r"write ta\.sin\(x\) for np\.sin\(x\)"),
        (lambda x: np.arctan2(x, x), r"write ta\.arctan2\(x\)"),
        (lambda x: np.log1p(x), r"write ta\.log1p\(x\)"),
        (lambda x: np.std(x), r"write ta\.std\(x\) for np\.std\(x\)"),
        (lambda x: np.var(x, axis=0), r"write ta\.var\(x\)"),
        (lambda x: np.prod(x), r"write ta\.prod\(x\)"),
        (lambda x: np.cosh(x), r"write np\.cosh\(x\.numpy\(\)\)"),
        (lambda x: np.add.reduce(x), r"write np\.add\.reduce\(x\.numpy\(\)\)"),
    ],
)
def test_functions_of_numpy_name_the_op(function, words):
    with pytest.raises(TypeError, match=words):
        function(ta.Tensor(X, requires_grad=True))


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda x: ta.einsum, r"no attribute 'einsum'; write ta\.contract\(x, y, pattern="),
        (lambda x: ta.cat, r"no attribute 'cat'; write ta\.concatenate\(x, y, axis=0\)"),
        (lambda x: ta.softmx, r"no attribute 'softmx'; did you mean softmax\?"),
        (lambda x: ta._private, r"no attribute '_private'$"),
        (lambda x: x.view, r"no attribute 'view'; write x\.reshape\(2, 3\)"),
        (lambda x: x.add_, r"no attribute 'add_'; write y = x \+ 1"),
        (lambda x: x.gt, r"no attribute 'gt'; write x == y, x > y"),
        (lambda x: x.multiply, r"; write ta\.multiply\(x, …\)"),
        (lambda x: ta.Parameter, r"; write ta\.Tensor\(array, requires_grad=True\)"),
        (lambda x: ta.nn.Linear, r"'tinyadtn\.nn' has no attribute 'Linear'; .*: ta\.Linear"),
        (lambda x: x.log1p, r"no attribute 'log1p'; write ta\.log1p\(x, …\)"),
        (lambda x: x.nonsense, r"object has no attribute 'nonsense'"),
    ],
)
def test_a_name_of_another_library_raises_with_ours(ask, says):
    with pytest.raises(AttributeError, match=says):
        ask(ta.Tensor(X))


def test_the_names_of_other_libraries_are_not_ours_and_those_of_ours_are():
    assert not set(other_names.OURS) & set(dir(ta))
    assert set(other_names.FUNCTIONS) <= set(dir(ta))
    known = {
        name for name in {*other_names.OURS, *other_names.FUNCTIONS} if hasattr(ta.Tensor, name)
    }
    assert known == {"abs", "grad"}  # x.abs() and x.grad are a Tensor's
    named = re.findall(r"\bta\.(\w+)", " ".join(other_names.OURS.values()))
    assert set(named) <= set(dir(ta))


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda x: ta.softmax(x, dim=1), r"softmax has no option 'dim' \(it has axis=\)"),
        (lambda x: ta.exp(x, axis=0), r"exp has no option 'axis' \(it has none\)"),
        (
            lambda x: ta.max_pool2d(x[None, None], kernel_size=2),
            r"max_pool2d has no option 'kernel_size' \(it has kernel=, stride=, padding=",
        ),
        (lambda x: ta.stack([x, x], 1), r"the axis is given by keyword: axis=1"),
        (lambda x: ta.concatenate([x, x], 0), r"the axis is given by keyword: axis=0"),
        (lambda x: ta.max_pool2d(x[None, None]), r"missing 1 required keyword-only argument"),
        (
            lambda x: ta.mean(x, 1),
            r"mean takes a by position and axis=, keepdims= by keyword: takes 1 pos",
        ),
        (lambda x: x.mean(dim=1), r"mean takes a by position and axis=.* argument 'dim'"),
        (lambda x: x.max(dim=1), r"max has no option 'dim' \(it has axis=, keepdims=\)"),
        (lambda x: x.std(1, False, 0, 1), r"takes from 1 to 3 positional arguments"),
        (lambda x: x.softmax(dim=1), r"softmax has no option 'dim' \(it has axis=\)"),
        (lambda x: x.cumsum(dim=1), r"cumsum has no option 'dim' \(it has axis=\)"),
        (lambda x: x.squeeze(dim=1), r"squeeze takes a by position and axis= by keyword"),
        (lambda x: ta.expand_dims(x, 0), r"expand_dims takes a by position and axis= by keyword"),
        (lambda x: ta.stack(x, x, dim=0), r"stack takes \*arrays by position and axis= by"),
        (lambda x: ta.dropout(x, 0.5), r"dropout takes x by position and rate=, rng= by keyword"),
        (lambda x: ta.Conv2d(1, 2, 3, 1), r"Conv2d takes in_channels, .*, kernel by position and"),
        (lambda x: ta.MaxPool2d(kernel_size=2), r"MaxPool2d takes kernel by position and stride="),
        (lambda x: ta.Adam([x], lr=0.1), r"Adam takes parameters, .* argument 'lr'"),
        (lambda x: ta.SGD([x], 0.1, 0.9), r"SGD takes .* and momentum=, .*: takes 3 pos"),
        (lambda x: ta.load_data(X, X), r"arrays are one argument, load_data\(\(images, labels\)\)"),
        (lambda x: ta.train(x, X, X), r"train takes model, data .*name each option, as epochs=5"),
        (lambda x: ta.predict(x, X, 8), r"predict takes model, images by position: takes 2 pos"),
        (lambda x: ta.Tensor(X, np.float64), r"requires_grad must be True or False, got <class"),
        (lambda x: ta.Tensor(2, 3), r"requires_grad must be True or False, got 3"),
    ],
)
def test_a_wrong_option_raises_with_the_right_ones(function, says):
    with pytest.raises(TypeError, match=says):
        function(ta.Tensor(X))
