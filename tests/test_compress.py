"""Compressing: a new model, an untouched old one, and a report that adds up."""

import json
import math
import tracemalloc

import numpy as np
import pytest

import tinyadtn as ta
from tinyadtn.autodiff.shape_only import ShapeOnly
from tinyadtn.cli.encode_option import encoding
from tinyadtn.compression.configure import build
from tinyadtn.errors import ShapeError, TinyADTNError
from tinyadtn.nn.surgery import named_layers
from tinyadtn.studies.parts import recipe_of
from tinyadtn.tables import format_table


def dense(**options):
    return ta.models.fc2(**{"hidden": 16, "image_size": 8, "rng": 0, **options})


def values(model):
    return {name: array.tobytes() for name, array in model.arrays().items()}


X = np.random.default_rng(5).random((3, 1, 8, 8), np.float32)


# --- the new model and the old -------------------------------------------------------------------


def test_the_old_model_is_untouched():
    model = dense()
    before, config, weight = values(model), json.dumps(model.config), model.fc1.weight
    small = ta.compress(model, {"fc1": 2}, rng=0)
    for p in small.parameters():
        p.data += 1
    assert values(model) == before
    assert model.fc1.weight is weight
    assert json.dumps(model.config) == config


def test_what_is_not_named_is_copied():
    model = dense()
    small = ta.compress(model, {"fc1": 2}, rng=0)
    assert isinstance(small.fc1.weight, ta.ADTN)
    for old, new in ((model.fc2.weight, small.fc2.weight), (model.fc1.bias, small.fc1.bias)):
        np.testing.assert_array_equal(old.data, new.data)
        assert not np.shares_memory(old.data, new.data)


def test_the_compressed_model_computes_with_the_decoded_weight():
    small = ta.compress(dense(), {"fc1": 2}, rng=0)
    w1 = small.fc1.weight.decode().data
    hidden = np.maximum(X.reshape(3, -1) @ w1.T + small.fc1.bias.data, 0)
    expected = hidden @ small.fc2.weight.data.T + small.fc2.bias.data
    np.testing.assert_allclose(small(X).data, expected, rtol=1e-5, atol=1e-6)


def test_an_encoding_learns_through_the_network():
    small = ta.compress(dense(), {"fc1": 1}, rng=0)
    small(X).sum().backward()
    assert all(np.abs(column.grad).max() > 0 for column in small.fc1.weight.columns)
    assert small.fc1.weight.scale.grad is None


def test_a_compressed_model_can_be_compressed_again():
    once = ta.compress(dense(), {"fc1": 1}, rng=0)
    twice = ta.compress(once, {"fc2": 2}, rng=1)
    assert (twice.fc1.weight.depth, twice.fc2.weight.depth) == (1, 2)
    assert set(twice.config["encodings"]) == {"fc1", "fc2"}
    assert set(once.config["encodings"]) == {"fc1"}
    deeper = ta.compress(once, {"fc1": 3}, rng=1)
    assert (deeper.fc1.weight.depth, once.fc1.weight.depth) == (3, 1)


def test_layers_in_a_list_are_compressed():
    class Stack(ta.Module):
        def __init__(self):
            self.blocks = [ta.Linear(4, 4, rng=0), ta.Linear(4, 4, rng=1)]

    small = ta.compress(Stack(), {"blocks.1": 1}, rng=0)
    assert isinstance(small.blocks[0].weight, ta.Tensor)
    assert isinstance(small.blocks[1].weight, ta.ADTN)


def test_a_layer_of_your_own_needs_a_weight_and_no_axes():
    class Bare(ta.Module):
        def __init__(self):
            self.weight = ta.Tensor(np.ones((4, 6), np.float32), requires_grad=True)

    model = ta.Sequential(one=Bare(), other=Bare())
    assert ta.compress(model, {"one": 1}, rng=0).one.weight.shape == (4, 6)
    assert ta.compress(model, {("one", "other"): 1}, rng=0).one.weight.whole.shape == (8, 6)


# --- the wish ------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", [{"a": 1}, {"b": 1}, {"*": 1}, {("a", "b"): 1}], ids=str)
def test_a_layer_in_two_places_is_not_parted(spec):
    layer = ta.Linear(4, 4, rng=0)
    model = ta.Sequential(a=layer, b=layer, c=ta.Linear(4, 4, rng=1))
    with pytest.raises(TinyADTNError, match="are one layer"):
        ta.compress(model, spec, rng=0)
    assert ta.compress(model, {"c": 1}, rng=0).a is not None


def test_a_depth_means_an_adtn_that_knows_the_image():
    weight = ta.compress(dense(), {"fc1": 3}, rng=0).fc1.weight
    assert (weight.depth, weight.shape) == (3, (16, 64))
    assert weight.sites.lengths == (16, 8, 8)


@pytest.mark.parametrize("pattern", ["fc*", "*", "fc[12]", "?c?"])
def test_a_pattern_names_every_layer_that_it_matches(pattern):
    small = ta.compress(dense(), {pattern: 1}, rng=0)
    assert all(isinstance(layer.weight, ta.ADTN) for layer in named_layers(small).values())


def test_layers_of_one_pattern_have_gates_of_their_own():
    small = ta.compress(dense(hidden=64, num_classes=64), {"fc*": 1}, rng=0)
    one, two = small.fc1.weight.columns[0].data, small.fc2.weight.columns[0].data
    assert one.shape == two.shape
    assert np.abs(one - two).max() > 0.01


def test_a_recipe_is_told_the_shape_the_structure_and_the_generator():
    told = {}

    def recipe(shape, axes, rng):
        told.update(shape=shape, axes=axes, rng=rng)
        return ta.Frozen(shape, rng=rng)

    small = ta.compress(dense(), {"fc1": recipe}, rng=0)
    assert isinstance(small.fc1.weight, ta.Frozen)
    assert (told["shape"], told["axes"]) == ((16, 64), (16, (8, 8)))
    assert isinstance(told["rng"], np.random.Generator)


def test_like_takes_every_option():
    recipe = ta.ADTN.like(
        depth=2, activation="tanh", order="output_first", axes=(16, 64), site_dim=4
    )
    weight = ta.compress(dense(), {"fc1": recipe}, rng=0).fc1.weight
    assert (weight.depth, weight.activation, weight.num_sites) == (2, "tanh", 5)
    assert weight.sites.order == (0, 1, 2, 3, 4)


def test_a_ready_encoding_is_used():
    weight = ta.ADTN((16, 64), 2, rng=5)
    expected = weight.decode().data.copy()
    small = ta.compress(dense(), {"fc1": weight}, rng=0)
    np.testing.assert_array_equal(small.fc1.weight.decode().data, expected)


def test_a_ready_encoding_is_copied_for_every_layer(tmp_path):
    model, weight = dense(hidden=64, num_classes=64), ta.ADTN((64, 64), 1, rng=5)
    small = ta.compress(model, {"fc*": weight}, rng=0)
    before = values(weight)
    small.fc1.weight.columns[0].data += 1
    assert values(small.fc2.weight) == values(weight) == before
    ta.save(tmp_path / "m.npz", small)
    assert values(ta.load(tmp_path / "m.npz")) == values(small)


def test_seeds_decide_the_gates():
    one, same, other = (ta.compress(dense(), {"fc*": 1}, rng=seed) for seed in (1, 1, 2))
    assert values(one) == values(same) != values(other)


def test_without_rng_there_are_shapes_only():
    one, two = (ta.compress(dense(rng=None), {"fc*": 1}, rng=None) for _ in range(2))
    assert one.num_parameters == two.num_parameters
    assert isinstance(one.fc1.weight.columns[0].data, ShapeOnly)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"conv1": 1}, "'conv1'; there is fc1, fc2"),
        ({"FC*": 1}, "'FC\\*'"),
        ({"relu1": 1}, "'relu1'"),
        ({"fc1": 1, "fc*": 2}, "fc1 is named twice"),
        ({"fc1": 0}, "depth of 1 or more, got 0"),
        ({"fc1": ta.Frozen((64, 16), rng=0)}, r"fc1: .*\(16, 64\).*\(64, 16\)"),
        ({"fc1": lambda shape, axes, rng: ta.Frozen((2, 2), rng=rng)}, r"\(16, 64\).*\(2, 2\)"),
        ({"fc1": "2"}, "fc1.*'2'"),
        ({"fc1": None}, "fc1.*None"),
        ({"fc1": lambda shape, axes, rng: np.zeros(shape)}, "fc1.*ndarray"),
        (["fc1"], r"""such as \{"fc1": 2\}; got \['fc1'\]"""),
        ("fc1", r"""such as \{"fc1": 2\}; got 'fc1'"""),
        ({3: 2}, r"""a name, a pattern or a tuple of these; got 3"""),
        ({("fc1", 3): 2}, r"""a name, a pattern or a tuple of these; got \('fc1', 3\)"""),
        ({(): 2}, r"an empty tuple names no layers"),
    ],
)
def test_a_wish_that_cannot_be_met_is_refused(spec, says):
    model = dense()
    before = values(model)
    with pytest.raises(TinyADTNError, match=says):
        ta.compress(model, spec, rng=0)
    assert values(model) == before


# --- and back ------------------------------------------------------------------------------------


def test_decompress_computes_the_same_with_plain_weights():
    small = ta.compress(dense(), {"fc1": 2, "fc2": ta.Frozen((10, 16), rng=3)}, rng=0)
    plain = ta.decompress(small)
    np.testing.assert_array_equal(plain(X).data, small(X).data)
    assert [name for name, _ in plain.named_parameters()] == [
        name for name, _ in dense().named_parameters()
    ]
    assert plain.num_parameters == dense().num_parameters
    assert plain.config == dense().config
    assert isinstance(small.fc1.weight, ta.ADTN)  # still


def test_decompressed_weights_can_be_trained_and_have_nothing_in_common():
    small = ta.compress(dense(), {"fc1": ta.Frozen((16, 64), rng=3)}, rng=0)
    plain = ta.decompress(small)
    before = values(small)
    plain(X).sum().backward()
    ta.SGD(plain.parameters(), 0.1).step()
    assert values(small) == before


# --- built again from a configuration -------------------------------------------------------------

ENCODINGS = {
    "depth": {"depth": 3},
    "activation": {"activation": "tanh"},
    "order": {"order": "output_first"},
    "order list": {"order": [9, 0, 8, 1, 7, 2, 6, 3, 5, 4]},
    "order array": {"order": np.arange(10)[::-1]},
    "axes": {"axes": (16, (4, 2, 8))},
    "site_dim": {"site_dim": 4},
    "site_dim list": {"site_dim": [4, 4, 2, 4, 8], "axes": (16, 64)},
    "wiring": {"wiring": [[(0, 1), (4, 5)], [(3, 2)], ((6, 7), (9, 8))]},
    "staircase": {"wiring": "staircase", "start": "orthogonal"},
    "tree": {"wiring": "tree", "site_dim": 4},
    "butterfly": {"wiring": "butterfly", "site_dim": [4, 4, 2, 4, 8], "depth": 2},
    "integers of NumPy": {"depth": np.int64(2), "site_dim": np.int64(4)},
}


@pytest.mark.parametrize("options", ENCODINGS.values(), ids=ENCODINGS)
def test_every_option_survives_a_file(options, tmp_path):
    small = ta.compress(dense(), {"fc1": ta.ADTN.like(**options)}, rng=0)
    ta.save(tmp_path / "m.npz", small)
    again = ta.load(tmp_path / "m.npz")
    assert values(again) == values(small)
    np.testing.assert_array_equal(again(X).data, small(X).data)
    assert again.fc1.weight.counts() == small.fc1.weight.counts()


def test_frozen_survives_a_file(tmp_path):
    small = ta.compress(dense(), {"fc1": lambda shape, axes, rng: ta.Frozen(shape, rng=rng)}, rng=0)
    ta.save(tmp_path / "m.npz", small)
    again = ta.load(tmp_path / "m.npz")
    assert again.num_parameters == small.num_parameters
    np.testing.assert_array_equal(again(X).data, small(X).data)


def test_building_draws_no_numbers():
    again = build(ta.compress(ta.models.fc2(rng=0), {"fc1": 1}, rng=0).config)
    assert isinstance(again.fc1.weight.columns[0].data, ShapeOnly)


# --- fit ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", [{"conv1": 1, "fc1": 1}, {("conv1", "fc1"): 1}])
def test_fit_to_a_model_without_the_layer_is_refused(spec):
    small = ta.compress(ta.models.lenet5(rng=0), spec, rng=0)
    before = values(small)
    with pytest.raises(TinyADTNError, match="no layer 'conv1' with a weight; there is fc1, fc2"):
        ta.fit(small, ta.models.fc2(rng=0), steps=1, show_progress=False)
    assert values(small) == before


@pytest.mark.parametrize("spec", [{"fc1": 1}, {("fc1", "fc2"): 1}])
def test_fit_to_a_layer_of_another_shape_is_refused(spec):
    small = ta.compress(ta.models.fc2(rng=0), spec, rng=0)
    with pytest.raises(ShapeError, match=r"fc1 .*\(120, 400\).* for \(256, 784\)"):
        ta.fit(small, ta.models.lenet5(rng=0), steps=1, show_progress=False)


def test_fit_of_an_encoding_that_two_layers_hold_is_to_the_first():
    model = dense(num_classes=16, hidden=16, image_size=4)
    one = ta.compress(model, {"fc1": ta.LowRank.like(16)}, rng=0)
    one.fc2.weight = one.fc1.weight
    assert ta.fit(one, model) == {"fc1+fc2": [pytest.approx(0, abs=1e-5)]}


# --- the type of the numbers ---------------------------------------------------------------------

KINDS = {
    "ADTN": {"fc1": 1},
    "a ready ADTN": {"fc1": ta.ADTN((120, 400), 1, rng=3)},
    "LowRank": {"fc1": ta.LowRank.like(3)},
    "TensorTrain": {"fc1": ta.TensorTrain.like(((12, 10), (20, 20)), 3)},
    "Tucker": {"conv2": ta.Tucker.like(3)},
    "Frozen": {"fc1": ta.Frozen.like()},
    "Part": {("fc1", "fc2"): 1},
    "Part of a tree": {("fc*",): ta.ADTN.like(1, wiring="tree")},
}
every_kind = pytest.mark.parametrize("spec", KINDS.values(), ids=KINDS)


def lenet5(dtype):
    model = ta.models.lenet5()
    model.load_arrays({n: a.astype(dtype) for n, a in ta.models.lenet5(rng=0).arrays().items()})
    return model


@every_kind
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_encoding_has_the_number_type_of_what_it_replaces(spec, dtype, tmp_path):
    model = lenet5(dtype)
    small = ta.compress(model, spec, rng=0)
    again = ta.compress(small, {}, rng=0)
    if "Frozen" not in str(small.fc1.weight):
        ta.fit(
            small, model, **({"steps": 2, "show_progress": False} if "ADTN" in repr(small) else {})
        )
    x = np.random.default_rng(0).random((2, 1, 28, 28)).astype(dtype)
    for one in (small, again, ta.compress(small, spec, rng=1), ta.decompress(small)):
        assert {a.dtype for a in one.arrays().values()} == {np.dtype(dtype)}
        assert one(x).dtype == dtype
    ta.save(tmp_path / "m.npz", small)
    loaded = ta.load(tmp_path / "m.npz")
    assert values(loaded) == values(small)
    np.testing.assert_array_equal(loaded(x).numpy(), small(x).numpy())


@every_kind
def test_shapes_only_have_a_number_type_and_hold_no_memory(spec):
    small = ta.compress(lenet5(np.float64), spec, rng=None)
    assert {tensor.dtype for _, tensor in small.named_tensors()} == {np.dtype(np.float64)}
    if spec is not KINDS["a ready ADTN"]:
        encoded = [t for n, t in small.named_tensors() if ".weight." in n and t.size > 1]
        assert all(isinstance(tensor.data, ShapeOnly) for tensor in encoded)


def test_a_start_in_float64_is_that_in_float32():
    one, two = (ta.compress(lenet5(dtype), {"fc1": 1}, rng=0) for dtype in ("f4", "f8"))
    for a, b in zip(one.fc1.weight.columns, two.fc1.weight.columns):
        np.testing.assert_array_equal(a.data, b.data)


# --- the report ----------------------------------------------------------------------------------


def npz_size(path, arrays):
    np.savez(path, **arrays)
    return path.stat().st_size


def test_the_report_by_hand(tmp_path):
    small = ta.compress(ta.models.fc2(rng=0), {"fc1": 2}, rng=0)
    fc1, fc2, whole = ta.report(small).rows
    # Q = 8 + 5 + 5 sites, M = 2: 16·2·17 - 12·9
    assert (fc1.name, fc1.counts.dense, fc1.counts.padded) == ("fc1.weight", 256 * 784, 2**18)
    assert fc1.counts.stored == 16 * 2 * 17 - 12 * 9 == 436
    assert fc1.counts.full_gates == 16 * 2 * 17
    assert fc1.counts.ratio == pytest.approx(200_704 / 436)
    assert (fc2.counts.dense, fc2.counts.stored, fc2.encoding) == (2560, 2560, "dense")
    biases = 256 + 10
    assert whole.counts.dense == 203_530
    assert whole.counts.stored == 436 + 2560 + biases == small.num_parameters
    assert whole.counts.live == fc1.counts.live + 2560 + biases
    assert whole.counts.padded == 2**18 + 2560 + biases
    assert fc1.bytes == npz_size(tmp_path / "a.npz", small.fc1.weight.arrays())
    assert fc2.bytes == npz_size(tmp_path / "b.npz", {"weight": small.fc2.weight.data})
    assert whole.bytes == npz_size(tmp_path / "c.npz", small.arrays())


def test_the_two_linear_layers_of_vgg16_take_424_numbers():
    """The plain call: 424 stored and 416 live for 18,874,368 weights, from shapes alone."""
    small = ta.compress(ta.models.vgg16(), {"fc1": 1, "fc2": 1}, rng=None)
    rows = {row.name: row for row in ta.report(small).rows}
    fc1, fc2, both = (rows[name].counts for name in ("fc1.weight", "fc2.weight", "encoded weights"))
    assert (fc1.stored, fc2.stored) == (200, 224)
    assert (both.stored, both.live, both.full_gates) == (424, 416, 688)
    assert both.dense == both.padded == 4096 * 512 + 4096 * 4096 == 18_874_368
    assert (fc1.ratio, fc2.ratio) == (2_097_152 / 200, 16_777_216 / 224)
    assert both.ratio == pytest.approx(44_515.0, abs=0.1)
    line = next(row for row in str(ta.report(small)).splitlines() if "encoded weights" in row)
    assert line.split()[2:6] == ["18,874,368", "424", "416", "44,515.0×"]
    assert list(rows)[-2:] == ["encoded weights", "whole model"]


def test_the_sum_over_encoded_weights_by_hand(tmp_path):
    small = ta.compress(ta.models.fc2(rng=0), {"fc1": 2, "fc2": ta.LowRank.like(2)}, rng=0)
    fc1, fc2, both, whole = ta.report(small).rows
    assert (both.name, both.encoding) == ("encoded weights", "")
    for kind in ("dense", "padded", "stored", "live", "full_gates"):
        assert getattr(both.counts, kind) == getattr(fc1.counts, kind) + getattr(fc2.counts, kind)
    assert whole.counts.stored == both.counts.stored + 256 + 10
    arrays = {name: a for name, a in small.arrays().items() if ".weight." in name}
    assert both.bytes == npz_size(tmp_path / "a.npz", arrays)


def test_there_is_no_sum_over_fewer_than_two():
    alone = ta.compress(dense(), {"fc1": 1}, rng=0)
    joint = ta.compress(dense(), {("fc1", "fc2"): 1}, rng=0)
    for model in (dense(), alone, joint):
        assert "encoded weights" not in [row.name for row in ta.report(model).rows]


@pytest.mark.parametrize("order", ["interleaved", "output_first"])
def test_both_orders_of_sites_store_424_and_416_are_live(order):
    pair = [ta.ADTN(shape, 1, order=order).counts() for shape in ((4096, 512), (4096, 4096))]
    assert (sum(c.stored for c in pair), sum(c.live for c in pair)) == (424, 416)


def test_the_report_of_a_frozen_layer_stores_nothing():
    recipe = lambda shape, axes, rng: ta.Frozen(shape, rng=rng)  # noqa: E731
    rows = ta.report(ta.compress(dense(), {"fc1": recipe}, rng=0)).rows
    assert rows[0].counts.stored == 0
    assert rows[0].counts.ratio == math.inf
    assert rows[-1].counts.stored == 16 + 160 + 10
    assert "–" in str(ta.report(ta.compress(dense(), {"fc1": recipe}, rng=0)))


def test_a_row_as_a_dictionary_is_json():
    row = ta.report(ta.compress(dense(), {"fc1": 1}, rng=0)).rows[0]
    entry = json.loads(json.dumps(row.as_dict()))
    assert entry["stored"] == 16 * 9 - 12 * 5
    assert entry["ratio"] == pytest.approx(1024 / 84)
    assert entry["encoding"] == "ADTN M=1"


@pytest.mark.parametrize("thing", ["model.npz", {}, None])
def test_a_report_is_of_a_module(thing):
    with pytest.raises(TypeError, match=f"report needs a Module, got {type(thing).__name__}"):
        ta.report(thing)


def test_a_report_of_shapes_only():
    assert ta.report(dense(rng=None)).rows[-1].counts.stored == 16 * 64 + 16 + 160 + 10


def test_a_report_allocates_no_weights():
    model = ta.Sequential(fc1=ta.Linear(4096, 4096, bias=False))  # 64 MiB, were it there
    tracemalloc.start()
    try:
        row, _ = ta.report(model).rows
        assert tracemalloc.get_traced_memory()[1] < 2**25
    finally:
        tracemalloc.stop()
    assert 0 < row.bytes - 4 * 4096**2 < 1000


def test_table_columns_are_aligned():
    assert format_table([["a", "bb"], ["ccc", "d"]]) == "a    bb\nccc   d"


def test_a_recipe_that_fails_says_for_which_layer():
    model = ta.models.fc2(rng=0)
    with pytest.raises(ShapeError, match=r"fc2: a 10×256 matrix has a rank from 1 to 10"):
        ta.compress(model, {"fc*": ta.LowRank.like(12)}, rng=0)
    with pytest.raises(TinyADTNError, match=r"LowRank.like\(\): missing .*'rank'"):
        ta.compress(model, {"fc1": ta.LowRank}, rng=0)
    with pytest.raises(TinyADTNError, match=r"fc1: .*; a recipe .* such as ta.LowRank.like\(8\)"):
        ta.compress(model, {"fc1": lambda shape: ta.LowRank(shape, 8)}, rng=0)


class WithoutRng(ta.Encoding):
    def __init__(self, shape):
        self.shape = tuple(shape)


def test_an_encoding_whose_init_takes_no_rng_is_answered_with_what_to_write():
    says = r"WithoutRng.__init__ must take rng: write def __init__\(self, shape, …, \*, rng=None\)"
    for value in (WithoutRng, WithoutRng.like):
        with pytest.raises(TinyADTNError, match=says):
            ta.compress(dense(), {"fc1": value if isinstance(value, type) else value()}, rng=0)


@pytest.mark.parametrize(
    ("kind", "arguments", "options", "says"),
    [
        (
            ta.LowRank,
            (),
            {"ranks": 3},
            r"^LowRank.like\(ranks=3\): .*did you mean rank\?.*takes rank",
        ),
        (ta.LowRank, (), {}, r"^LowRank.like\(\): .*'rank'"),
        (ta.LowRank, (2, 3), {}, r"^LowRank.like\(2, 3\): too many"),
        (ta.MixT, (), {"withd": 2}, r"^MixT.like\(withd=2\): .*width\? \(MixT takes modes, width"),
        (ta.ADTN, (2,), {"wirings": "tree"}, r"^ADTN.like\(2, wirings='tree'\).*mean wiring\?"),
        (ta.Frozen, (1,), {}, r"^Frozen.like\(1\)"),
        (ta.Frozen, (), {"rng": 0}, r"^Frozen.like\(rng=0\): a recipe gets rng from its caller"),
    ],
)
def test_wrong_arguments_of_like_are_named_where_they_are_written(kind, arguments, options, says):
    with pytest.raises(TinyADTNError, match=says):
        kind.like(*arguments, **options)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("LowRank", r"'LowRank' is not a depth.* or a recipe, such as ta.LowRank.like\(8\)"),
        ({"encoding": "LowRank", "rank": 3}, r"or a recipe, such as"),
        (True, r"True is not a depth"),
        (ta.TensorTrain.like(4), r"modes must be .*got 4; pass one number by its name: ranks="),
        (ta.Pruned.like("a"), r"^fc1: "),
    ],
)
def test_a_value_that_is_not_a_recipe_is_answered_with_one(value, says):
    with pytest.raises((TinyADTNError, ValueError), match=says) as raised:
        ta.compress(dense(), {"fc1": value}, rng=0)
    assert "functools" not in str(raised.value)


class FromTorch:
    """What compress sees of a torch network."""

    def state_dict(self):
        return {}


def test_what_is_not_a_model_is_answered_with_what_to_do():
    with pytest.raises(TypeError, match=r"got function; call it first: lenet5\(rng=0\)"):
        ta.compress(ta.models.lenet5, {"fc1": 1}, rng=0)
    for function in (ta.decompress, lambda model: ta.compress(model, {"fc1": 1}, rng=0)):
        with pytest.raises(TypeError, match=r"got FromTorch; .* ta.load_from_torch"):
            function(FromTorch())
    with pytest.raises(TypeError, match="compress needs a seed, rng=0"):
        ta.compress(dense(), {"fc1": 1})
    for spec in ({"fc9": 1}, [1]):  # named before the seed
        with pytest.raises(TinyADTNError, match=r"fc9|got \[1\]"):
            ta.compress(dense(), spec)
    with pytest.raises(TinyADTNError, match="there is no layer with a weight"):
        ta.compress(ta.Sequential(relu=ta.ReLU()), {"fc1": 1}, rng=0)


def test_a_tensor_train_has_three_cores_by_default_wherever_it_is_written(tmp_path):
    small = ta.compress(ta.models.fc2(rng=0), {"fc1": ta.TensorTrain.like(ranks=3)}, rng=0)
    assert small.fc1.weight.modes == ((8, 8, 4), (7, 8, 14))
    assert small.fc1.weight.ranks == (3, 3)
    ta.save(tmp_path / "small.npz", small)
    assert ta.load(tmp_path / "small.npz").fc1.weight.modes == small.fc1.weight.modes
    mixed = ta.compress(ta.models.fc2(rng=0), {"fc1": ta.MixT}, rng=0).fc1.weight
    assert mixed.modes == small.fc1.weight.modes and mixed.width == 2
    made = recipe_of(encoding("TensorTrain:ranks=3"))
    assert made((256, 784), rng=0).modes == small.fc1.weight.modes
