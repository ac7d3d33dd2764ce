"""What every encoding must do alike, driven by ``encoding_table``."""

import json
import pickle
import re

import numpy as np
import pytest
from encoding_refusals import REFUSED
from encoding_table import ROWS

import tinyadtn as ta
from tinyadtn.autodiff.shape_only import ShapeOnly
from tinyadtn.compression.configure import build_encoding
from tinyadtn.encodings.encoding import Encoding
from tinyadtn.errors import GraphError, ShapeError
from tinyadtn.nn.parameters import he_std

TRAINED = [row for row in ROWS if row.kind != "fixed"]
WHOLE = [
    row for row in TRAINED if not isinstance(row.make(), ta.SharedWeight)
]  # see test_joint for parts
FITTED = [row for row in TRAINED if hasattr(row.make(), "fit")]
every_row = pytest.mark.parametrize("row", ROWS, ids=str)
every_trained_row = pytest.mark.parametrize("row", TRAINED, ids=str)


class Holder(ta.Module):
    """A layer that computes nothing but its weight, of whatever shape."""

    def __init__(self, weight, axes=None):
        self.weight, self.axes = weight, axes


def values(module):
    return {name: array.tobytes() for name, array in module.arrays().items()}


def floats(encoding):
    return [t for _, t in encoding.named_tensors() if t.dtype.kind == "f"]


def put(encoding, name, tensor):
    """Put a tensor in the place that it is named after."""
    *way, last = name.split(".")
    for key in way:
        encoding = encoding[int(key)] if isinstance(encoding, list) else getattr(encoding, key)
    if isinstance(encoding, list):
        encoding[int(last)] = tensor
    else:
        setattr(encoding, last, tensor)


# --- numbers -------------------------------------------------------------------------------------


@every_row
def test_counts_are_the_stored_entries(row):
    counts, encoding = row.make().counts(), row.make(0)
    assert counts == encoding.counts()
    assert counts.stored == encoding.num_parameters + row.frozen == row.stored
    assert encoding.num_parameters == sum(p.data.size for p in encoding.parameters())
    assert counts.stored_bytes == (4 * row.stored if row.bytes is None else row.bytes)
    assert counts.dense == np.prod(row.shape) == encoding.decode().size
    assert counts.live <= counts.stored <= counts.full_gates
    assert counts.padded >= counts.dense


@pytest.mark.parametrize("row", [row for row in TRAINED if row.kind != "rounded"], ids=str)
def test_gradients_are_right(row):
    """Of the decoded weight with respect to each parameter, measured with a random cotangent."""
    encoding = row.make(0)
    for tensor in floats(encoding):
        tensor.data = tensor.data.astype(np.float64)
    names, parameters = zip(*encoding.named_parameters())

    def decode(*tensors):
        twin = encoding.copy()
        for name, tensor in zip(names, tensors):
            put(twin, name, tensor)
        return twin.decode()

    assert decode(*parameters).shape == row.shape
    ta.check_vjp(decode, *(p.data for p in parameters), method=row.kind)


@pytest.mark.parametrize("row", WHOLE, ids=str)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_start_is_spread_like_a_dense_one(row, seed):
    std = row.make(seed).decode().numpy().astype(np.float64).std()
    assert std == pytest.approx(he_std(row.shape), rel=row.start)


@every_row
def test_the_same_seed_gives_the_same_bits_and_a_generator_goes_on(row):
    generator = np.random.default_rng(3)
    one, same = row.make(3), row.make(generator)
    assert values(one) == values(same) != values(row.make(4))
    assert values(row.make(generator)) != values(one)


@every_trained_row
def test_a_step_changes_the_weight_in_its_number_type(row):
    encoding = row.make(0)
    before = encoding.decode()
    assert before.dtype == np.float32
    assert all(p.dtype == np.float32 for p in encoding.parameters())
    kept = before.numpy().copy()
    before.backward(np.ones(row.shape, np.float32))
    ta.SGD(encoding.parameters(), 0.1).step()
    assert np.abs(encoding.decode().numpy() - kept).max() > 1e-4


# --- shapes only ---------------------------------------------------------------------------------


@every_row
def test_shapes_only_hold_no_memory_and_cannot_compute(row):
    encoding = row.make()
    assert all(isinstance(p.data, ShapeOnly) for p in encoding.parameters())
    with pytest.raises(GraphError, match="shapes only"):
        encoding.decode().numpy()


@every_row
def test_shapes_only_takes_arrays_and_then_computes(row):
    drawn, empty = row.make(0), row.make()
    empty.load_arrays(drawn.arrays())
    np.testing.assert_array_equal(empty.decode().numpy(), drawn.decode().numpy())


# --- again ---------------------------------------------------------------------------------------


@every_row
def test_the_configuration_builds_it_again(row):
    encoding = row.make(0)
    config = json.loads(json.dumps(encoding.config))
    again = build_encoding(config, {})
    assert again.config == encoding.config
    assert (type(again), again.counts(), again.label) == (
        type(encoding),
        encoding.counts(),
        encoding.label,
    )
    again.load_arrays(encoding.arrays())
    np.testing.assert_array_equal(again.decode().numpy(), encoding.decode().numpy())


@every_row
def test_a_copy_has_the_values_and_shares_nothing(row):
    encoding = row.make(0)
    twin = encoding.copy()
    assert values(twin) == values(encoding)
    before = values(encoding)
    for tensor in floats(twin):
        tensor.data += 1
    assert values(encoding) == before != values(twin)


@every_row
def test_a_module_that_holds_it_survives_a_file(row, tmp_path):
    model, other = Holder(row.make(0)), Holder(row.make(1))
    ta.save(tmp_path / "m.npz", model)
    ta.load(tmp_path / "m.npz", into=other)
    assert values(other) == values(model)


@every_row
def test_compress_makes_it_and_decompress_unmakes_it(row):
    layer = Holder(ta.Tensor(np.ones(row.shape, np.float32), requires_grad=True), row.axes)
    small = ta.compress(ta.Sequential(conv1=layer), {"conv1": row.recipe}, rng=0)
    weight, plain = small.conv1.weight, ta.decompress(small).conv1.weight
    assert isinstance(weight, Encoding)
    assert isinstance(plain, ta.Tensor)
    assert plain.requires_grad
    np.testing.assert_array_equal(plain.numpy(), weight.decode().numpy())


@every_row
def test_the_report_names_and_counts_it(row):
    model = ta.Sequential(conv1=Holder(row.make()), fc1=Holder(ta.Linear(3, 2).weight))
    encoded, dense, whole = ta.report(model).rows
    assert (encoded.encoding, dense.encoding) == (row.label, "dense")
    assert encoded.counts == row.make().counts()
    assert whole.counts.stored == row.stored + 6


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [case[1:] for case in REFUSED],
    ids=[f"{case[0]}{k}" for k, case in enumerate(REFUSED)],
)
def test_what_does_not_fit_is_refused(make, error, words):
    with pytest.raises(error, match=words):
        make()


# --- words ---------------------------------------------------------------------------------------


@every_row
def test_it_says_what_it_is(row):
    encoding = row.make()
    assert encoding.label == row.label
    assert f"{row.stored} parameters for {np.prod(row.shape)}" in repr(encoding)


@every_row
def test_the_cost_of_decoding_is_counted(row):
    """No trained weight comes for free, and applying the factors is worth knowing if cheaper."""
    cost = row.make().cost()
    assert (cost.decode > 0) == (
        row.kind != "fixed" and not re.match("tensor train D=1|all entries|pruned", row.label)
    )
    assert cost.apply is None or cost.apply > 0


@pytest.mark.parametrize("row", FITTED, ids=str)
def test_a_target_of_another_shape_is_refused(row):
    with pytest.raises(ShapeError, match=r"\(2, 3, 4, 5\)"):
        row.make(0).fit(np.ones((2, 3, 4, 5)))


@pytest.mark.parametrize("row", FITTED, ids=str)
def test_fit_brings_it_closer_and_returns_the_relative_errors(row):
    target = np.random.default_rng(5).normal(size=row.shape)
    encoding = row.make(0)
    options = (
        {"steps": 40, "show_progress": False} if "ADTN" in row.label and not row.frozen else {}
    )
    before = np.linalg.norm(encoding.decode().numpy() - target) / np.linalg.norm(target)
    errors = encoding.fit(target, **options)
    after = np.linalg.norm(encoding.decode().numpy() - target) / np.linalg.norm(target)
    assert errors[-1] == pytest.approx(after, rel=1e-3, abs=1e-6)
    assert after < before
    assert all(p.requires_grad and p.dtype == np.float32 for p in encoding.parameters())


@pytest.mark.parametrize(
    "recipe", [ta.ADTN.like(2, order="nested"), ta.LowRank.like(2), ta.Frozen.like()]
)
@pytest.mark.parametrize("protocol", range(2, 6))
def test_a_recipe_can_be_pickled(recipe, protocol):
    again = pickle.loads(pickle.dumps(recipe, protocol))
    one, other = (make((6, 8), axes=None, rng=0).decode().data for make in (recipe, again))
    np.testing.assert_array_equal(one, other)
