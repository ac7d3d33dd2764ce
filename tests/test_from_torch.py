"""Values come into a model from torch's names; what does not fit is named, and changes nothing."""

import numpy as np
import pytest

import tinyadtn as ta
from tinyadtn.errors import DTypeError, NonFiniteError, ShapeError, TinyADTNError


def small():
    """A convolution, a batch normalization and a linear layer, under torch's usual names."""
    model = ta.Sequential(
        normalize=ta.Normalize(3),
        conv1=ta.Conv2d(3, 4, 3, rng=0),
        norm1=ta.BatchNorm2d(4),
        flatten=ta.Flatten(),
        fc1=ta.Linear(16, 2, rng=0),
    )
    rng = np.random.default_rng(1)
    shapes = {
        "features.0.weight": (4, 3, 3, 3),
        "features.0.bias": (4,),
        "features.1.weight": (4,),
        "features.1.bias": (4,),
        "features.1.running_mean": (4,),
        "features.1.running_var": (4,),
        "classifier.weight": (2, 16),
        "classifier.bias": (2,),
    }
    state = {name: rng.random(shape, np.float32) for name, shape in shapes.items()}
    state["features.1.num_batches_tracked"] = np.array(3)
    return model, state


NAMES = {"conv1": "features.0", "norm1": "features.1", "fc1": "classifier"}


def test_names_and_words_are_translated():
    model, state = small()
    ta.load_from_torch(model, state, names=NAMES)
    ours = model.arrays()
    assert (ours["conv1.weight"] == state["features.0.weight"]).all()
    assert (ours["norm1.scale"] == state["features.1.weight"]).all()
    assert (ours["norm1.shift"] == state["features.1.bias"]).all()
    assert (ours["norm1.running_variance"] == state["features.1.running_var"]).all()
    assert (ours["fc1.bias"] == state["classifier.bias"]).all()
    assert (ours["normalize.std"] == 1).all()


def test_a_nested_network_is_named_by_its_path():
    model, state = small()
    nested = ta.Sequential(body=model)
    ta.load_from_torch(nested, state, names={f"body.{k}": v for k, v in NAMES.items()})
    assert (nested.body.fc1.bias.data == state["classifier.bias"]).all()
    whole = {f"net.{name}": array for name, array in model.arrays().items()}
    ta.load_from_torch(nested, whole, names={"body": "net"})
    whole["head.weight"] = 2 * whole.pop("net.fc1.weight")
    whole["head.bias"] = whole.pop("net.fc1.bias")
    ta.load_from_torch(nested, whole, names={"body": "net", "body.fc1": "head"})
    assert (nested.body.fc1.weight.data == 2 * state["classifier.weight"]).all()


def without(name):
    return lambda state: state.pop(name)


def with_(name, value):
    return lambda state: state.__setitem__(name, value)


@pytest.mark.parametrize(
    ("change", "names", "kind", "words"),
    [
        (
            without("classifier.bias"),
            NAMES,
            ShapeError,
            "1 of 8 tensors are missing.*fc1.bias: no.* called 'classifier.bias'.*did you mean",
        ),
        (lambda state: None, {"conv1": "features.0"}, ShapeError, "6 of 8.*norm1.scale"),
        (with_("head.weight", np.ones(3)), NAMES, ShapeError, "no place for head.weight; it has"),
        (
            with_("classifier.weight", np.ones((3, 16))),
            NAMES,
            ShapeError,
            r"fc1.weight has shape \(2, 16\), the array given has \(3, 16\)",
        ),
        (lambda state: None, {**NAMES, "fc2": "x"}, TinyADTNError, "no layer 'fc2'; did you mean"),
        (with_("classifier.bias", "a text"), NAMES, TinyADTNError, "classifier.bias is a str"),
        (with_("classifier.bias", np.array(["a", "b"])), NAMES, TypeError, "fc1.bias: cannot load"),
    ],
)
def test_what_does_not_fit_changes_nothing(change, names, kind, words):
    model, state = small()
    before = model.arrays()
    change(state)
    with pytest.raises(kind, match=words):
        ta.load_from_torch(model, state, names=names)
    assert all((before[name] == array).all() for name, array in model.arrays().items())


def test_tensors_of_torch_in_its_small_types():
    torch = pytest.importorskip("torch")
    model, state = small()
    state = {name: torch.tensor(array).to(torch.bfloat16) for name, array in state.items()}
    ta.load_from_torch(model, state, names=NAMES)
    assert model.fc1.bias.dtype == np.float32
    np.testing.assert_array_equal(model.fc1.bias.data, state["classifier.bias"].float().numpy())


@pytest.mark.parametrize("network", [3, [1, 2], ta.models.fc2(rng=0)])
def test_what_is_no_network(network):
    with pytest.raises(TinyADTNError, match=r"expected a torch module.* got"):
        ta.load_from_torch(ta.models.fc2(rng=0), network)


def test_a_dense_weight_does_not_fit_an_encoding():
    model = ta.compress(ta.models.fc2(rng=0), {"fc1": 1}, rng=0)
    with pytest.raises(ShapeError, match=r"fc1.weight.scale: no tensor.*before ta.compress"):
        ta.load_from_torch(model, ta.models.fc2(rng=0).arrays())


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_named(value):
    model, state = small()
    before = model.arrays()
    state["features.1.bias"][2] = value
    with pytest.raises(NonFiniteError, match=r"not finite: features\.1\.bias$"):
        ta.load_from_torch(model, state, names=NAMES)
    assert all((array == before[name]).all() for name, array in model.arrays().items())


WEIGHT, BIAS = np.ones((2, 3), np.float32), np.zeros(2, np.float32)


class Unusual:
    """As a sparse or quantized tensor of torch."""

    dtype = "torch.qint8"

    def detach(self):
        return self

    cpu = detach

    def numpy(self):
        raise TypeError("Got unsupported ScalarType QInt8")


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"fc1.weight": np.ma.array(WEIGHT, mask=WEIGHT > 0)}, DTypeError, "mask"),
        ({"fc1.weight": WEIGHT.astype(float) * 1e300}, NonFiniteError, "would become infinite"),
        ({"fc1.weight": Unusual()}, TinyADTNError, r"fc1\.weight cannot become an array .*QInt8"),
        ({"x\x1b[31m": BIAS}, ShapeError, r"no place for x\\x1b\[31m;"),
        ({3: BIAS}, ShapeError, "no place for 3;"),
        ({"fc1.weight": {"a": WEIGHT}}, TinyADTNError, r"pass state\['fc1\.weight'\]"),
    ],
)
def test_tensors_that_no_model_can_hold_are_named(changes, error, says):
    model = ta.Sequential(fc1=ta.Linear(3, 2, rng=0))
    before = model.arrays()
    with pytest.raises(error, match=says):
        ta.load_from_torch(model, {"fc1.weight": WEIGHT, "fc1.bias": BIAS, **changes})
    assert all((array == before[name]).all() for name, array in model.arrays().items())


def test_a_checkpoint_of_torch_around_the_tensors_is_named():
    """As torch.save({"state_dict": …}), DataParallel and torch.compile write them."""
    model = ta.Sequential(fc1=ta.Linear(3, 2, rng=0))
    inner = {"fc1.weight": WEIGHT, "fc1.bias": BIAS}
    with pytest.raises(TinyADTNError, match=r"'state_dict' holds a dict, .* state\['state_dict'\]"):
        ta.load_from_torch(model, {"epoch": 3, "state_dict": inner})
    for before in ("module.", "_orig_mod."):
        outer = {before + name: value for name, value in inner.items()}
        with pytest.raises(
            ShapeError, match=rf"begin with '{before}', .*removeprefix\('{before}'\)"
        ):
            ta.load_from_torch(model, outer)


def test_a_single_layer_of_torch_has_no_name():
    model = ta.Sequential(fc1=ta.Linear(3, 2, rng=0))
    ta.load_from_torch(model, {"weight": WEIGHT, "bias": BIAS}, names={"fc1": ""})
    np.testing.assert_array_equal(model.fc1.weight.numpy(), WEIGHT)


@pytest.mark.parametrize("names", ["0", [("fc1", "0")], {"fc1": 0}, {0: "fc1"}, 3])
def test_names_are_a_dict_of_texts(names):
    model = ta.Sequential(fc1=ta.Linear(3, 2, rng=0))
    with pytest.raises(TinyADTNError, match="names must be a dict from our names to torch's"):
        ta.load_from_torch(model, {"0.weight": WEIGHT, "0.bias": BIAS}, names=names)


def test_what_is_not_a_model_or_a_network_is_named():
    with pytest.raises(TypeError, match="load_from_torch needs a Module, got dict"):
        ta.load_from_torch({}, {})

    class Network:
        def state_dict(self):
            return {}

    with pytest.raises(TinyADTNError, match=r"expected a torch module, .* got type"):
        ta.load_from_torch(ta.Linear(3, 2, rng=0), Network)
