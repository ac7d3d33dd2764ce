"""Several layers encoded as one: cut, shared, counted once, fitted once, and back from a file."""

import json
import math

import numpy as np
import pytest

import tinyadtn as ta
from tinyadtn.autodiff.shape_only import ShapeOnly
from tinyadtn.compression.configure import build
from tinyadtn.compression.encoded_model import stored_weights
from tinyadtn.encodings.joint import joint_axes, joint_shape
from tinyadtn.errors import ShapeError, TinyADTNError
from tinyadtn.nn.parameters import he_std
from tinyadtn.studies.experiment_files import walls

X = np.random.default_rng(5).random((3, 1, 8, 8), np.float32)
WHOLE = 32 * 64 + 10 * 32  # the two weights of the model below


def unlike():
    """fc1 (32, 64) and fc2 (10, 32): one vector."""
    return ta.models.fc2(hidden=32, image_size=8, rng=0)


def same_inputs():
    """fc1 (64, 64) and fc2 (10, 64): a matrix of 74 outputs."""
    return ta.models.fc2(hidden=64, image_size=8, rng=0)


def alike():
    """fc1 and fc2 both (64, 64): a matrix of 128 outputs."""
    return ta.models.fc2(num_classes=64, hidden=64, image_size=8, rng=0)


def joint(model, wish=2, rng=0):
    return ta.compress(model, {("fc1", "fc2"): wish}, rng=rng)


def values(model):
    return {name: array.tobytes() for name, array in model.arrays().items()}


class Layer(ta.Module):
    """A layer with a weight of any shape."""

    def __init__(self, shape, axes):
        self.weight, self.axes = ta.Tensor(np.zeros(shape, np.float32), requires_grad=True), axes


every_make = pytest.mark.parametrize("make", [unlike, same_inputs, alike])


# --- shapes --------------------------------------------------------------------------------------


def test_weights_with_the_same_inputs_are_one_with_more_outputs():
    shapes = {"conv1": (4, 9, 3, 3), "conv2": (8, 9, 3, 3), "conv3": (4, 9, 3, 3)}
    layers = {name: Layer(shape, (shape[0], (3, 3), 3, 3)) for name, shape in shapes.items()}
    recipe = ta.ADTN.like(1, order="output_first")
    small = ta.compress(ta.Sequential(**layers), {tuple(shapes): recipe}, rng=0)
    whole = small.conv2.weight.whole
    assert whole.shape == joint_shape(list(shapes.values())) == (16, 9, 3, 3)
    assert whole.sites.lengths == (16, 3, 3, 3, 3)
    decoded = whole.decode().numpy()
    for name, first in (("conv1", 0), ("conv2", 4), ("conv3", 12)):
        part = getattr(small, name).weight
        assert part.gain == 1
        np.testing.assert_array_equal(part.decode().numpy(), decoded[first : first + part.shape[0]])


@pytest.mark.parametrize(
    ("axes", "together"),
    [
        ([(4, (3, 4)), (4, (3, 4))], (8, (3, 4))),
        ([((2, 2), (3, 4)), (4, [3, 4])], (8, (3, 4))),  # that of the outputs is gone
        ([(4, (3, 4)), (4, (4, 3))], None),
        ([(4, (3, 4)), None], None),
        ([None, None], None),
    ],
)
def test_the_structure_of_the_inputs_is_kept_if_all_have_it(axes, together):
    assert joint_axes([(4, 12), (4, 12)], axes) == together


def test_a_vector_has_no_structure():
    assert joint_axes([(4, 12), (4, 8)], [(4, (3, 4)), (4, (2, 4))]) is None


def test_two_alike_are_a_site_more_in_front():
    """For 2^n outputs each, output first: the first site says which of the two it is."""
    small = joint(alike(), ta.ADTN.like(2, order="output_first"))
    stack = ta.ADTN((2, 64, 64), 2, order="output_first", rng=0)
    for name, k in (("fc1", 0), ("fc2", 1)):
        weight = getattr(small, name).weight.decode().numpy()
        spread = he_std((64, 64)) / he_std((2, 64, 64))  # the stack starts as one of 64·64 inputs
        np.testing.assert_allclose(weight, stack.decode().numpy()[k] * spread, rtol=1e-5)


def test_weights_with_other_inputs_become_one_vector():
    small = joint(unlike())
    assert small.fc1.weight.whole.shape == (WHOLE,) == joint_shape([(32, 64), (10, 32)])


@every_make
def test_every_part_is_its_slice_times_its_gain(make):
    small = joint(make())
    whole = small.fc1.weight.whole.decode().numpy()
    one, two = small.fc1.weight, small.fc2.weight
    assert one.decode().shape == make().fc1.weight.shape
    assert two.decode().shape == make().fc2.weight.shape
    flat = np.concatenate([(p.decode().numpy() / p.gain).ravel() for p in (one, two)])
    np.testing.assert_allclose(flat, whole.ravel(), rtol=1e-6)
    assert one.gain == pytest.approx(he_std(one.shape) / he_std(whole.shape))


@pytest.mark.parametrize("wish", [1, ta.ADTN.like(3, activation="identity")])
def test_together_the_parts_start_spread_like_dense_layers(wish):
    """In units of each layer's own std; the layers differ in their number of inputs."""
    layers = {"fc1": ta.Linear(300, 20), "fc2": ta.Linear(20, 100), "fc3": ta.Linear(100, 30)}
    small = ta.compress(ta.Sequential(**layers), {("fc1", "fc2", "fc3"): wish}, rng=0)
    parts = [small.fc1.weight, small.fc2.weight, small.fc3.weight]
    entries = [p.decode().numpy().ravel() / math.sqrt(2 / p.shape[1]) for p in parts]
    assert np.concatenate(entries).std() == pytest.approx(1, rel=1e-5)


# --- shared --------------------------------------------------------------------------------------


@every_make
def test_the_shared_numbers_are_there_once(make):
    small = joint(make())
    whole = small.fc1.weight.whole
    assert small.fc2.weight.whole is whole
    biases = small.fc1.bias.size + small.fc2.bias.size
    assert small.num_parameters == whole.num_parameters + biases
    names = [name for name, _ in small.named_parameters() if "columns" in name]
    assert names == [f"fc1.weight.whole.columns.{k}" for k in range(4)]


def test_both_layers_train_the_whole():
    model = joint(alike())
    model(X).sum().backward()
    together = [c.grad.copy() for c in model.fc1.weight.whole.columns]
    one, two = (ta.compress(alike(), {}, rng=0) for _ in range(2))
    one.fc1.weight, one.fc2.weight = model.fc1.weight, model.fc2.weight.decode().detach()
    two.fc1.weight, two.fc2.weight = model.fc1.weight.decode().detach(), model.fc2.weight
    shares = []
    for half in (one, two):
        for column in model.fc1.weight.whole.columns:
            column.grad = None
        half(X).sum().backward()
        shares.append([c.grad.copy() for c in model.fc1.weight.whole.columns])
    for g, a, b in zip(together, *shares):
        assert np.abs(a).max() > 0 < np.abs(b).max()
        np.testing.assert_allclose(g, a + b, rtol=1e-4, atol=1e-5 * np.abs(g).max())


def test_an_optimiser_has_every_shared_number_once():
    small = joint(unlike())
    optimizer = ta.Adam(small.parameters())
    assert len(optimizer.parameters) == len({id(p) for p in optimizer.parameters}) == 4 + 2


@every_make
def test_a_copy_shares_its_whole_and_nothing_with_the_old(make):
    small = joint(make())
    before, twin = values(small), small.copy()
    assert twin.fc1.weight.whole is twin.fc2.weight.whole
    for p in twin.parameters():
        p.data += 1
    assert values(small) == before


@every_make
def test_decoded_decodes_the_whole_once(make, monkeypatch):
    small = joint(make())
    expected, calls, decode = small(X).numpy(), [], ta.ADTN.decode
    monkeypatch.setattr(ta.ADTN, "decode", lambda self: calls.append(self) or decode(self))
    with ta.decoded(small) as dense:
        np.testing.assert_array_equal(dense(X).numpy(), expected)
    assert calls == [small.fc1.weight.whole]


@every_make
def test_decompress_gives_an_ordinary_model(make):
    small = joint(make())
    plain = ta.decompress(small)
    np.testing.assert_array_equal(plain(X).numpy(), small(X).numpy())
    assert plain.num_parameters == make().num_parameters
    assert plain.config == make().config
    assert not np.shares_memory(plain.fc1.weight.data, plain.fc2.weight.data)


# --- files ---------------------------------------------------------------------------------------


@every_make
def test_a_file_brings_it_back_shared(make, tmp_path):
    small = joint(make(), ta.ADTN.like(2, order="output_first"))
    ta.save(tmp_path / "m.npz", small)
    again = ta.load(tmp_path / "m.npz")
    assert values(again) == values(small)
    assert again.fc1.weight.whole is again.fc2.weight.whole
    assert again.config == json.loads(json.dumps(small.config))
    np.testing.assert_array_equal(again(X).numpy(), small(X).numpy())


def test_a_run_goes_on_from_a_file(tmp_path):
    data = ta.load_data("mnist-5k")
    plan = {"epochs": 1, "batch_size": 1000}
    small = ta.compress(ta.models.fc2(hidden=8, rng=0), {("fc1", "fc2"): 1}, rng=0)
    whole, halves = small.copy(), small.copy()
    for _ in ta.train(whole, data, **plan):
        pass
    for step in ta.train(halves, data, out=tmp_path, **plan):
        if step.step == 2:
            break
    again = ta.load(tmp_path / "last.npz")
    for _ in ta.train(again, data, resume=tmp_path / "last.npz"):
        pass
    assert values(again) == values(whole)


def test_parts_of_two_wholes_are_kept_apart_in_a_file(tmp_path):
    """One layer of an old joint encoding is left when the other is encoded anew."""
    once = joint(alike())
    twice = ta.compress(once, {"fc1": 1}, rng=3)
    ta.save(tmp_path / "m.npz", twice)
    again = ta.load(tmp_path / "m.npz")
    assert values(again) == values(twice)
    np.testing.assert_array_equal(again.fc2.weight.decode().numpy(), once.fc2.weight.decode().data)
    assert again.num_parameters == (
        twice.fc1.weight.num_parameters + once.fc1.weight.whole.num_parameters + 64 + 64
    )
    assert [weight.name for weight in stored_weights(again)] == ["fc1", "fc2"]


def test_building_draws_no_numbers():
    again = build(joint(unlike()).config)
    assert isinstance(again.fc2.weight.whole.columns[0].data, ShapeOnly)


# --- report, fit, walls --------------------------------------------------------------------------


@every_make
def test_the_report_has_one_row_for_both(make):
    small = joint(make())
    row, total = ta.report(small).rows
    whole = small.fc1.weight.whole
    assert (row.name, row.encoding) == ("fc1+fc2.weight", "ADTN M=2")
    assert row.counts.dense == small.fc1.weight.decode().size + small.fc2.weight.decode().size
    assert row.counts == whole.counts()
    assert total.counts.stored == small.num_parameters
    assert total.counts.dense == make().num_parameters


def test_a_part_that_is_left_alone_has_its_own_entries_and_all_numbers():
    left = ta.compress(joint(alike()), {"fc1": 1}, rng=0)
    row = ta.report(left).rows[1]
    assert (row.name, row.counts.dense) == ("fc2.weight", 64 * 64)
    assert row.counts.stored == left.fc2.weight.whole.num_parameters


def test_layers_that_hold_the_very_same_weight_are_counted_once():
    one = ta.Linear(4, 4, rng=0)
    two = ta.Linear(4, 4, bias=False, rng=1)
    two.weight = one.weight
    row, total = ta.report(ta.Sequential(fc1=one, fc2=two)).rows
    assert (row.counts.dense, row.counts.stored) == (32, 16)
    assert total.counts.stored == 16 + 4


@every_make
def test_fit_fits_the_whole_once_to_all_its_layers(make):
    """The error is that of all weights, each in units of its start."""
    model = make()
    small = joint(model, ta.ADTN.like(2, activation="leaky_relu"))
    errors = ta.fit(small, model, steps=40, show_progress=False)
    assert list(errors) == ["fc1+fc2"]
    assert len(errors["fc1+fc2"]) == 41
    pairs = [(small.fc1, model.fc1), (small.fc2, model.fc2)]
    left = np.concatenate(
        [
            (a.weight.decode().numpy() - b.weight.numpy()).ravel() / he_std(b.weight.shape)
            for a, b in pairs
        ]
    )
    norm = np.concatenate([b.weight.numpy().ravel() / he_std(b.weight.shape) for _, b in pairs])
    error = np.linalg.norm(left) / np.linalg.norm(norm)
    assert errors["fc1+fc2"][-1] == pytest.approx(error, rel=1e-3)
    assert error < errors["fc1+fc2"][0]


def kernels():
    """Two convolutions of 6 channels, with 4 and 8 outputs."""
    one, two = (ta.Conv2d(6, o, 3, rng=o) for o in (4, 8))
    return ta.Sequential(conv1=one, conv2=two)


def matrices():
    """Two linear layers of 6 inputs, with 4 and 8 outputs."""
    return ta.Sequential(fc1=ta.Linear(6, 4, rng=1), fc2=ta.Linear(6, 8, rng=2))


LINEAR_KINDS = [
    (matrices, ta.LowRank.like(6), ta.LowRank.like(2)),
    (kernels, ta.LowRank.like(12), ta.LowRank.like(2)),
    (kernels, ta.Tucker.like((12, 6)), ta.Tucker.like((3, 2))),
    (matrices, ta.TensorTrain.like(((4, 3), (2, 3)), 8), ta.TensorTrain.like(((4, 3), (2, 3)), 2)),
    (kernels, ta.TensorTrain.like(((4, 3), (6, 9)), 24), ta.TensorTrain.like(((4, 3), (6, 9)), 2)),
]


@pytest.mark.parametrize(("make", "full", "some"), LINEAR_KINDS)
def test_the_rivals_see_all_outputs_over_the_same_inputs(make, full, some):
    """At full rank their joint fit is exact; below, it is that of the two weights as one."""
    model = make()
    names = tuple(name for name, _ in model.layers())
    targets = [getattr(model, name).weight.numpy() for name in names]
    small = ta.compress(model, {names: full}, rng=0)
    assert ta.fit(small, model) == {"+".join(names): [pytest.approx(0, abs=1e-5)]}
    for name, target in zip(names, targets):
        weight = getattr(small, name).weight.decode().numpy()
        np.testing.assert_allclose(weight, target, rtol=0, atol=1e-5)
    together = np.concatenate(targets)
    alone = some(together.shape, rng=0)
    small = ta.compress(model, {names: some}, rng=0)
    assert ta.fit(small, model)["+".join(names)] == pytest.approx(alone.fit(together))
    decoded = [getattr(small, name).weight.decode().numpy() for name in names]
    np.testing.assert_allclose(np.concatenate(decoded), alone.decode().numpy(), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("make", "some"), [(make, some) for make, _, some in LINEAR_KINDS])
def test_a_file_brings_joint_rivals_back(make, some, tmp_path):
    model = make()
    names = tuple(name for name, _ in model.layers())
    small = ta.compress(model, {names: some}, rng=0)
    ta.save(tmp_path / "m.npz", small)
    other = ta.compress(model, {names: some}, rng=1)
    ta.load(tmp_path / "m.npz", into=other)
    assert values(other) == values(small)


@pytest.mark.parametrize(
    "recipe",
    [ta.LowRank.like(3), ta.TensorTrain.like(((8, 16), (8, 8)), 2)],
)
def test_joint_rivals_of_a_known_model_come_back_from_their_file(recipe, tmp_path):
    small = joint(alike(), recipe)
    ta.save(tmp_path / "m.npz", small)
    again = ta.load(tmp_path / "m.npz")
    assert values(again) == values(small)
    assert again.fc1.weight.whole is again.fc2.weight.whole


def test_two_kernels_of_vgg16_are_one_tucker(tmp_path):
    small = ta.compress(
        ta.models.vgg16(), {("conv4_2", "conv4_3"): ta.Tucker.like((32, 16))}, rng=None
    )
    whole = small.conv4_2.weight.whole
    assert whole.shape == (1024, 512, 3, 3)
    assert whole.num_parameters == 1024 * 32 + 32 * 16 * 9 + 16 * 512
    assert build(small.config).config == small.config


def test_a_wall_of_several_layers_is_found_once():
    small = joint(unlike())
    assert walls(small) == {"fc1+fc2": small.fc1.weight.whole}


# --- the wish ------------------------------------------------------------------------------------


def test_patterns_in_a_tuple_and_a_ready_encoding():
    whole = ta.ADTN((WHOLE,), 1, rng=4)
    small = ta.compress(unlike(), {("fc*",): whole}, rng=0)
    np.testing.assert_array_equal(small.fc1.weight.whole.decode().data, whole.decode().data)
    assert small.fc1.weight.whole is not whole


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({("fc1", "fc3"): 1}, "'fc3'; there is fc1, fc2"),
        ({("fc1",): 1}, "fc1 alone is not joint"),
        ({("fc1", "fc1"): 1}, "fc1 is named twice"),
        ({("fc1", "fc*"): 1}, "fc1 is named twice"),
        ({("fc1", "fc2"): 1, "fc2": 1}, "fc2 is named twice"),
        ({("fc1", "fc2"): 0}, "depth of 1 or more"),
        ({("fc1", "fc2"): ta.ADTN((64, 64))}, r"fc1\+fc2: the weight has shape \(2368,\)"),
        ({("fc1", "fc2"): ta.LowRank.like(2)}, r"2 axes or more, got \(2368,\)"),
        ({("fc1", "fc2"): "1"}, r"fc1\+fc2.*'1'"),
    ],
)
def test_a_wish_that_cannot_be_met_is_refused(spec, says):
    with pytest.raises(TinyADTNError, match=says):
        ta.compress(unlike(), spec, rng=0)


@pytest.mark.parametrize("index", [-1, 2])
def test_a_part_that_is_not_there_is_refused(index):
    with pytest.raises(ShapeError, match=f"parts 0 … 1, got {index}"):
        ta.SharedWeight(ta.ADTN((8, 4)), index, {"fc1": (4, 4), "fc2": (4, 4)})


def test_a_part_of_no_layers_is_refused():
    with pytest.raises(ShapeError, match=r"together have shape \(0,\)"):
        ta.SharedWeight(ta.ADTN((4, 4)), 0, {})


def test_a_whole_of_another_shape_is_refused():
    with pytest.raises(ShapeError, match=r"fc1, fc2 together have shape \(8, 4\).*\(4, 4\)"):
        ta.SharedWeight(ta.ADTN((4, 4)), 0, {"fc1": (4, 4), "fc2": (4, 4)})
