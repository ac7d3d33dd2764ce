"""Modules: names, buffers, loading, copying, decoding, and what a layer says when it cannot."""

import copy
import pickle
from collections import Counter

import numpy as np
import pytest

import tinyadtn as ta
from tinyadtn.autodiff.shape_only import ShapeOnly
from tinyadtn.errors import GraphError, ShapeError, TinyADTNError
from tinyadtn.nn.surgery import named_layers, with_weights


class Normalise(ta.Module):
    """A module with a parameter, a buffer, and things that are neither."""

    def __init__(self):
        self.label = "x"
        self.gain = ta.Tensor(np.ones(3, np.float32), requires_grad=True)
        self.mean = ta.Tensor(np.arange(3, dtype=np.float32))
        self.notes = {"gain": 1}

    def forward(self, x, *, training, rng):
        return (x - self.mean) * self.gain


class Stack(ta.Module):
    """Layers in a list."""

    def __init__(self):
        self.blocks = [ta.Linear(4, 4, rng=0), ta.Linear(4, 4, rng=1)]

    def forward(self, x, *, training, rng):
        for block in self.blocks:
            x = block(x)
        return x


def small_net():
    return ta.Sequential(
        fc1=ta.Linear(6, 8, rng=0), relu1=ta.ReLU(), norm=ta.Linear(8, 3, rng=1), scale=Normalise()
    )


def values(model):
    return {name: array.tobytes() for name, array in model.arrays().items()}


# --- names ---------------------------------------------------------------------------------------


def test_parameters_are_found_in_the_order_of_the_attributes():
    assert [name for name, _ in small_net().named_parameters()] == [
        "fc1.weight",
        "fc1.bias",
        "norm.weight",
        "norm.bias",
        "scale.gain",
    ]


def test_gate_columns_have_names_with_numbers():
    model = ta.compress(ta.models.fc2(rng=0), {"fc1": 1}, rng=0)
    names = [name for name, _ in model.named_parameters()]
    assert names[:3] == ["fc1.weight.columns.0", "fc1.weight.columns.1", "fc1.bias"]
    assert model.fc1.weight.columns[0].shape == (9, 2, 2)
    assert model.fc1.weight.columns[1].shape == (8, 4, 4)


def test_buffers_are_saved_and_not_trained():
    net = small_net()
    assert "scale.mean" in net.arrays()
    assert "scale.mean" not in dict(net.named_parameters())
    model = ta.compress(ta.models.fc2(rng=0), {"fc1": 1}, rng=0)
    assert "fc1.weight.scale" in model.arrays()
    assert "fc1.weight.scale" not in dict(model.named_parameters())


def test_layers_in_a_list_have_names():
    assert [name for name, _ in Stack().named_parameters()] == [
        "blocks.0.weight",
        "blocks.0.bias",
        "blocks.1.weight",
        "blocks.1.bias",
    ]
    assert list(named_layers(Stack())) == ["blocks.0", "blocks.1"]


def test_layers_in_a_dict_have_names_and_learn():
    class Named(ta.Module):
        def __init__(self):
            self.heads = {"left": ta.Linear(3, 2, rng=0), "right": ta.Linear(3, 2, rng=1)}

        def forward(self, x, *, training, rng):
            return self.heads["left"](x) * self.heads["right"](x)

    model = Named()
    assert list(named_layers(model)) == ["heads.left", "heads.right"]
    assert model.num_parameters == 2 * (3 * 2 + 2)
    small = ta.compress(model, {"heads.left": 1}, rng=0)
    assert isinstance(small.heads["left"].weight, ta.ADTN)
    assert isinstance(model.heads["left"].weight, ta.Tensor)
    small(np.ones((1, 3), np.float32)).sum().backward()
    assert all(p.grad is not None for p in small.parameters())


def test_what_a_dict_keeps_of_a_forward_pass_is_no_parameter_and_stays():
    class Watched(ta.Module):
        def __init__(self):
            self.fc, self.seen, self.options = ta.Linear(3, 2, rng=0), Counter(), {"weight": 0.5}
            self.kept = {}

        def forward(self, x, *, training, rng):
            self.kept["last"] = y = self.fc(x)
            self.seen.update(["calls"])
            return y * self.options["weight"]

    model, x = Watched(), np.ones((1, 3), np.float32)
    wanted = model(x).data
    assert [name for name, _ in model.named_tensors()] == ["fc.weight", "fc.bias"]
    with ta.decoded(model) as ready:
        np.testing.assert_array_equal(ready(x).data, wanted)
    assert model.seen == {"calls": 2}


def test_a_shared_tensor_is_one_parameter():
    model = Stack()
    model.blocks[1].weight = model.blocks[0].weight
    assert model.num_parameters == 16 + 4 + 4
    assert [name for name, _ in model.named_parameters()] == [
        "blocks.0.weight",
        "blocks.0.bias",
        "blocks.1.bias",
    ]


def test_counting_parameters():
    assert small_net().num_parameters == 6 * 8 + 8 + 8 * 3 + 3 + 3


# --- loading -------------------------------------------------------------------------------------


def test_arrays_go_out_and_come_back():
    one, other = ta.models.fc2(hidden=4, rng=0), ta.models.fc2(hidden=4, rng=1)
    assert values(one) != values(other)
    other.load_arrays(one.arrays())
    assert values(one) == values(other)


def test_arrays_are_copies_both_ways():
    model = small_net()
    out = model.arrays()
    out["fc1.weight"][:] = 7
    assert not (model.fc1.weight.data == 7).any()
    model.load_arrays(out)
    out["fc1.weight"][:] = 8
    assert (model.fc1.weight.data == 7).all()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda a: a.pop("norm.bias"), r"missing \['norm.bias'\], unknown none"),
        (lambda a: a.update(extra=np.ones(2)), r"missing none, unknown \['extra'\]"),
        (lambda a: a.update({"norm.bias": np.ones(4)}), r"norm.bias has shape \(3,\).*\(4,\)"),
        (lambda a: a.update({"norm.bias": np.ones((1, 3))}), r"\(1, 3\)"),
        (lambda a: a.update({"norm.bias": 1.0}), r"given has \(\)"),
        (lambda a: a.pop("scale.mean"), "scale.mean"),
    ],
)
def test_arrays_of_another_model_change_nothing(change, says):
    model = small_net()
    before, arrays = values(model), {name: array + 1 for name, array in model.arrays().items()}
    change(arrays)
    with pytest.raises(ShapeError, match=says):
        model.load_arrays(arrays)
    assert values(model) == before


@pytest.mark.parametrize("bad", [np.array(["a", "b", "c"]), np.array([1j, 2, 3])])
def test_arrays_that_are_no_real_numbers_change_nothing(bad):
    model = small_net()
    before, arrays = values(model), {name: array + 1 for name, array in model.arrays().items()}
    arrays["scale.mean"] = bad  # the last one
    with pytest.raises(TinyADTNError, match=r"scale\.mean"):
        model.load_arrays(arrays)
    assert values(model) == before


def test_loading_keeps_the_number_type():
    model = small_net()
    model.load_arrays({name: array.astype(np.float64) for name, array in model.arrays().items()})
    assert {tensor.dtype for _, tensor in model.named_tensors()} == {np.dtype(np.float32)}


def normalised_net(rng=None):
    """Besides its weights it has what is never without values: a scale, statistics, one bias."""
    return ta.Sequential(
        normalize=ta.Normalize(1),
        conv1=ta.Conv2d(1, 2, 3, rng=rng),
        norm1=ta.BatchNorm2d(2),
        flatten=ta.Flatten(),
        fc1=ta.Linear(2, 1, rng=rng),
    )


@pytest.mark.parametrize("double", [("conv1.weight",), ("conv1.weight", "fc1.weight")])
def test_a_model_of_shapes_only_becomes_float64_as_a_whole(double):
    model = normalised_net()
    third = {name: np.full(a.shape, 1 / 3) for name, a in normalised_net(0).arrays().items()}
    narrow = {name: a.astype(np.float32) for name, a in third.items() if "weight" in name}
    model.load_arrays({**third, **narrow, **{name: third[name] for name in double}})
    for name, tensor in model.named_tensors():
        expected = narrow[name] if name in narrow and name not in double else third[name]
        np.testing.assert_array_equal(tensor.data, expected.astype(np.float64), strict=True)
    assert model(np.ones((2, 1, 3, 3)), training=True).dtype == np.float64


def test_statistics_in_float64_do_not_widen_a_model_in_float32():
    """Constants that were typed in are float64, and no reason to compute at half the speed."""
    model = normalised_net()
    model.load_arrays({**normalised_net(0).arrays(), "normalize.mean": np.array([0.5])})
    assert {tensor.dtype for _, tensor in model.named_tensors()} == {np.dtype(np.float32)}


def test_what_can_be_an_array_is_loaded_like_one():
    class Foreign:  # as much of a torch tensor as matters here
        def __init__(self, array):
            self.array, self.dtype = array, "its own"

        def __array__(self, dtype=None, copy=None):
            return self.array

    arrays = small_net().arrays()
    for dtype in (np.float32, np.float64):
        model = ta.Sequential(fc1=ta.Linear(6, 8))
        mine = {name: arrays[name].astype(dtype) for name in ("fc1.weight", "fc1.bias")}
        model.load_arrays({name: Foreign(array) for name, array in mine.items()})
        for name, array in mine.items():
            np.testing.assert_array_equal(model.arrays()[name], array, strict=True)


# --- copying -------------------------------------------------------------------------------------


def test_a_copy_has_the_same_values_and_nothing_in_common():
    model = ta.compress(ta.models.fc2(hidden=8, rng=0), {"fc1": 2}, rng=0)
    model(np.ones((2, 1, 28, 28), np.float32)).sum().backward()
    twin = model.copy()
    assert values(twin) == values(model)
    for (_, one), (_, other) in zip(twin.named_tensors(), model.named_tensors()):
        assert one is not other
        assert not np.shares_memory(one.data, other.data)
    assert all(p.grad is None for p in twin.parameters())
    assert all(p.grad is not None for p in model.parameters())
    assert twin.config == model.config
    assert twin.config is not model.config


def test_a_copy_can_be_trained_while_the_original_is_in_a_graph():
    model = ta.Linear(4, 3, rng=0)
    loss = model(np.ones((2, 4), np.float32)).sum()
    twin = model.copy()
    twin.weight.data += 1
    loss.backward()


def test_a_copy_keeps_what_is_shared_shared():
    model = Stack()
    model.blocks[1].weight = model.blocks[0].weight
    twin = model.copy()
    assert twin.blocks[0].weight is twin.blocks[1].weight


# --- decoded -------------------------------------------------------------------------------------


def test_decoded_computes_the_same_and_decodes_once(monkeypatch):
    model = ta.compress(ta.models.fc2(hidden=8, rng=0), {"fc*": 2}, rng=0)
    x = np.random.default_rng(0).random((3, 1, 28, 28), np.float32)
    expected = model(x).data
    calls = []
    decode = ta.ADTN.decode
    monkeypatch.setattr(ta.ADTN, "decode", lambda self: calls.append(self) or decode(self))
    with ta.decoded(model) as dense:
        for _ in range(3):
            logits = dense(x)
            np.testing.assert_array_equal(logits.data, expected)
    assert calls == [model.fc1.weight, model.fc2.weight]
    assert not logits.requires_grad
    assert isinstance(model.fc1.weight, ta.ADTN)


def test_decoded_reaches_layers_in_a_list():
    model = Stack()
    model.blocks[1].weight = ta.ADTN((4, 4), rng=0)
    with ta.decoded(model) as dense:
        assert isinstance(dense.blocks[1].weight, ta.Tensor)


def test_after_decoded_gradients_are_recorded_again():
    model = ta.models.fc2(hidden=4, rng=0)
    with pytest.raises(ValueError, match="out"), ta.decoded(model):
        raise ValueError("out")
    assert model(np.ones((1, 1, 28, 28), np.float32)).requires_grad


def test_with_weights_asks_for_every_layer_and_changes_no_original():
    model, asked = small_net(), []
    before = values(model)
    twin = with_weights(model, lambda name, w: asked.append(name) or ta.Tensor(w.data * 0))
    assert asked == ["fc1.weight", "norm.weight"]
    assert not twin.fc1.weight.data.any()
    assert twin.fc1.bias is model.fc1.bias
    assert values(model) == before


def test_shapes_only_cannot_compute():
    model = ta.models.fc2(hidden=4)
    assert model.num_parameters == 784 * 4 + 4 + 4 * 10 + 10
    with pytest.raises(GraphError, match="shapes only; build it with rng="):
        model(np.ones((1, 1, 28, 28)))


@pytest.mark.parametrize(
    ("layer", "shape"), [(ta.Linear(1, 1), (1, 1)), (ta.Conv2d(1, 1, 1), (1, 1, 2, 2))], ids=repr
)
def test_the_smallest_shape_cannot_compute_either(layer, shape):
    with pytest.raises(GraphError, match="shapes only"):
        layer(np.ones(shape, np.float32))


def test_shapes_only_takes_weights_and_then_computes():
    drawn, empty = ta.models.fc2(hidden=4, rng=0), ta.models.fc2(hidden=4)
    empty.load_arrays(drawn.arrays())
    x = np.ones((1, 1, 28, 28), np.float32)
    np.testing.assert_array_equal(empty(x).data, drawn(x).data)


def test_a_module_without_forward_says_so():
    with pytest.raises(TypeError, match="Module computes nothing"):
        ta.Module()(np.ones(3))


def test_a_copy_of_shapes_only_holds_no_memory_and_cannot_compute():
    twin = ta.models.fc2(hidden=2**20).copy()  # 784 · 2^20 weights would be 3 GB
    assert isinstance(twin.fc1.weight.data, ShapeOnly)
    with pytest.raises(GraphError, match="shapes only"):
        twin(np.zeros((1, 784), np.float32))


VALUES_NEEDED = {
    "forward": lambda model: model(np.ones((1, 1, 28, 28))),
    "training": lambda model: model(np.ones((1, 1, 28, 28)), training=True),
    "arrays": lambda model: model.arrays(),
    "save": lambda model: ta.save("never-written.npz", model),
    "evaluate": lambda model: ta.evaluate(model, ta.load_data("mnist-5k").test),
    "predict": lambda model: ta.predict(model, np.ones((1, 1, 28, 28), np.float32)),
    "train": lambda model: next(ta.train(model, ta.load_data("mnist-5k"))),
    "Adam": lambda model: ta.Adam(model.parameters()),
    "fit": lambda model: ta.fit(ta.compress(model, {"fc1": 1}, rng=0), model),
    "numpy": lambda model: model.fc1.weight.numpy(),
    "detach": lambda model: np.asarray(model.fc1.weight.detach()),
    "an op": lambda model: ta.concatenate(np.ones((1, 784)), model.fc1.weight),
    "an operator": lambda model: 2 * model.fc1.bias,
    "a bias": lambda model: model.fc1.bias.sum(),
    "an index": lambda model: model.fc1.bias[0],
    "a loop": lambda model: list(model.fc1.bias),
    "item": lambda model: ta.models.fc2(hidden=1).fc1.bias.item(),
    "float": lambda model: float(ta.models.fc2(hidden=1).fc1.bias),
    "in place": lambda model: model.fc1.weight.data.__imul__(2),
    "values": lambda model: model.fc1.weight.data[0],
    "a method": lambda model: model.fc1.weight.data.mean(),
    "numpy's functions": lambda model: np.linalg.norm(model.fc1.weight.data),
    "numpy's ufuncs": lambda model: np.ones(4) * model.fc1.bias.data,
    "comparison": lambda model: model.fc1.bias.data == 0,
    "truth": lambda model: bool(model.fc1.bias.data),
}


@pytest.mark.parametrize("use", VALUES_NEEDED.values(), ids=VALUES_NEEDED)
def test_whatever_needs_the_values_of_shapes_only_says_how_to_get_them(use):
    with pytest.raises(GraphError, match="shapes only; build it with rng=0, or load weights"):
        use(ta.models.fc2(hidden=4))


COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "Module.copy": lambda model: model.copy(),
    "to_device": lambda model: ta.to_device(model, "cpu"),
    "freeze": lambda model: ta.freeze(model, "fc2"),
    **{f"pickle {n}": lambda m, n=n: pickle.loads(pickle.dumps(m, n)) for n in range(2, 6)},
}


@pytest.mark.parametrize("again", COPIES.values(), ids=COPIES)
def test_copies_of_shapes_only_are_shapes_only(again):
    model = ta.models.fc2(hidden=2**20)  # 784 · 2^20 weights would be 3 GB
    twin = again(model)
    for (name, tensor), (_, other) in zip(model.named_tensors(), twin.named_tensors()):
        assert isinstance(other.data, ShapeOnly), name
        assert (other.shape, other.dtype) == (tensor.shape, tensor.dtype)
    assert ta.summary(twin).multiply_adds == ta.summary(model).multiply_adds
    assert "without values" in repr(twin.fc1.weight)


def test_shapes_only_that_come_back_from_pickle_take_weights():
    drawn, empty = (
        ta.models.fc2(hidden=4, rng=0),
        pickle.loads(pickle.dumps(ta.models.fc2(hidden=4))),
    )
    empty.load_arrays(drawn.arrays())
    assert values(empty) == values(drawn)
    ta.Adam(empty.parameters())


# --- modules of one's own that are wrong ----------------------------------------------------------


class Own(ta.Module):
    def __init__(self, result):
        self.fc, self.result = ta.Linear(4, 3, rng=0), result

    def forward(self, x, *, training, rng):
        return self.result(self.fc(x))


@pytest.mark.parametrize(
    ("result", "says"),
    [
        (lambda y: None, r"Own.forward\(\) must return a Tensor, got None: is a return missing"),
        (lambda y: y.data, r"Own.forward\(\) must return a Tensor, got an array, without a graph"),
    ],
)
def test_a_forward_that_returns_no_tensor_is_named(result, says):
    with pytest.raises(TypeError, match=says):
        Own(result)(np.ones((2, 4), np.float32))


def test_a_forward_may_return_several_tensors():
    one, two = Own(lambda y: (y, y * 2))(np.ones((2, 4), np.float32))
    np.testing.assert_array_equal(two.data, 2 * one.data)


@pytest.mark.parametrize("names", ["x", "x, training", "x, *, rng", "*x"])
def test_a_forward_without_the_two_options_is_rejected_where_it_is_defined(names):
    with pytest.raises(TypeError, match=r"Short.forward must take training and rng: write def"):
        exec(f"class Short(ta.Module):\n    def forward(self, {names}): ...", {"ta": ta})
    for names in ("x, training=False, rng=None", "x, **options", "x, y=1, *, training, rng"):
        exec(f"class Whole(ta.Module):\n    def forward(self, {names}): ...", {"ta": ta})


class OwnWeight(ta.Encoding):
    config = None

    def __init__(self, shape, result):
        self.shape, self.result = shape, result
        self.values = ta.Tensor(np.ones(shape, np.float32), requires_grad=True)

    def decode(self):
        return self.result(self.values)


@pytest.mark.parametrize(
    ("result", "error", "says"),
    [
        (lambda v: v.data, TypeError, r"OwnWeight.decode\(\) must return a Tensor.*got a ndarray"),
        (lambda v: None, TypeError, r"OwnWeight.decode\(\) must return a Tensor.*got a NoneType"),
        (
            lambda v: v[1:],
            ShapeError,
            r"OwnWeight.decode\(\) must return shape \(3, 4\), got \(2, 4",
        ),
        (lambda v: v.T, ShapeError, r"must return shape \(3, 4\), got \(4, 3\)"),
    ],
)
def test_a_weight_that_decodes_to_something_else_is_named(result, error, says):
    layer = ta.Linear(4, 3, rng=0)
    layer.weight = OwnWeight((3, 4), result)
    with pytest.raises(error, match=says):
        layer(np.ones((2, 4), np.float32))
    with pytest.raises(error, match=says):
        ta.decompress(ta.Sequential(fc=layer))
    conv = ta.Conv2d(4, 3, 1, rng=0)
    conv.weight = OwnWeight((3, 4, 1, 1), result)
    with pytest.raises(error, match=r"OwnWeight.decode\(\) must return"):
        conv(np.ones((2, 4, 5, 5), np.float32))


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_arrays_that_could_not_all_be_loaded_change_nothing(monkeypatch, error):
    model, other = ta.models.fc2(rng=0), ta.models.fc2(rng=1)
    before, calls = model.arrays(), []

    def to_device(array, device):
        calls.append(device)
        if len(calls) == 3:
            raise error
        return array

    monkeypatch.setattr("tinyadtn.nn.module.to_device", to_device)
    with pytest.raises(error):
        model.load_arrays(other.arrays())
    for name, array in model.arrays().items():
        np.testing.assert_array_equal(array, before[name])


DIGITS = ta.load_data("mnist-5k")
FUNCTIONS_OF_A_MODEL = {
    "train": lambda model: ta.train(model, DIGITS),
    "evaluate": lambda model: ta.evaluate(model, DIGITS.test),
    "predict": lambda model: ta.predict(model, DIGITS.test.images),
    "compress": lambda model: ta.compress(model, {"fc1": 1}, rng=0),
    "decompress": ta.decompress,
    "decoded": ta.decoded,
    "fit": lambda model: ta.fit(model, ta.models.fc2(rng=0)),
    "freeze": lambda model: ta.freeze(model, "*"),
    "report": ta.report,
    "save": lambda model: ta.save("never.npz", model),
}


@pytest.mark.parametrize("name", FUNCTIONS_OF_A_MODEL)
@pytest.mark.parametrize(
    "model",
    [ta.models.fc2, ta.Linear, None, "fc2", np.ones(3)],
    ids=["a function", "a class", "None", "a name", "an array"],
)
def test_every_function_of_a_model_rejects_anything_else(name, model):
    hint = r"; call it first: (fc2|Linear)\(rng=0\)" if callable(model) else ""
    says = rf"^{name}(\(path, model\))? needs a Module, got {type(model).__name__}{hint}$"
    with pytest.raises(TypeError, match=says):
        FUNCTIONS_OF_A_MODEL[name](model)


@pytest.mark.parametrize("model", [ta.Linear(3, 2, rng=0), ta.ReLU(), Normalise()], ids=repr)
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("eval", r"write model\(images\)"),
        ("state_dict", r"write model\.arrays\(\)"),
        ("fit", "write for step in ta.train"),
        ("cuda", r"write ta\.to_device"),
    ],
)
def test_a_method_of_another_library_raises_with_ours(model, name, says):
    kind = type(model).__name__
    with pytest.raises(
        AttributeError, match=rf"^'{kind}' object has no attribute '{name}'; {says}"
    ):
        getattr(model, name)


def test_an_own_module_may_have_methods_of_these_names():
    class Own(ta.Module):
        def __init__(self):
            self.train = 3

        def fit(self):
            return self.train

        @property
        def wrong(self):
            return self.nowhere

    assert Own().fit() == 3
    with pytest.raises(AttributeError, match="'nowhere'"):  # and not 'wrong'
        _ = Own().wrong
