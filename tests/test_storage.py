"""Encodings for accuracy against bytes (Quantized, Pruned), and an update of a frozen weight."""

import functools

import numpy as np
import pytest

import tinyadtn as ta
from tinyadtn.compression.configure import build
from tinyadtn.errors import CheckpointError, TinyADTNError
from tinyadtn.studies.table import counted

RANDOM = np.random.default_rng(7)
INNER = {
    "dense": ta.Dense.like(),
    "low rank": ta.LowRank.like(3),
    "ADTN": ta.ADTN.like(1),
    "deep ADTN": ta.ADTN.like(2),
}


def small(spec, rng=0):
    return ta.compress(ta.models.fc2(rng=0), spec, rng=rng)


# --- quantized -----------------------------------------------------------------------------------


@pytest.mark.parametrize("inner", INNER)
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_every_array_has_as_many_values_as_its_bits_can_hold(inner, bits):
    weight = ta.Quantized((40, 30), bits, of=INNER[inner], rng=0)
    for _, tensor in weight.rounded().named_tensors():
        values, top = tensor.numpy(), 2 ** (bits - 1) - 1
        if values.size > 1:
            codes = values / (np.abs(values).max() / top)
            np.testing.assert_allclose(codes, np.rint(codes), rtol=0, atol=1e-4)
            assert np.abs(codes).max() == pytest.approx(top)
            assert len(np.unique(np.rint(codes))) <= 2**bits - 1


def test_the_inner_encoding_may_be_a_depth_a_class_or_a_recipe():
    for of in (np.int64(2), ta.ADTN.like(2), ta.ADTN((40, 30), 2)):
        assert ta.Quantized((40, 30), of=of).label == "ADTN M=2, 8 bits"
    assert ta.Quantized((40, 30), of=ta.Dense).label == "all entries, 8 bits"
    with pytest.raises(TinyADTNError, match=r"'ADTN' is not a depth.* such as ta.LowRank.like"):
        ta.Quantized((40, 30), of="ADTN")


def test_an_inner_encoding_that_contains_itself_is_rounded():
    inner = ta.LowRank((4, 3), 1, rng=0)
    expected = ta.Quantized((4, 3), 8, of=inner.copy()).decode().numpy()
    inner.owner, inner.rest = inner, [inner]
    weight = ta.Quantized((4, 3), 8, of=inner)
    np.testing.assert_array_equal(weight.decode().numpy(), expected)
    twin = weight.rounded()
    assert twin.owner is twin and twin.rest[0] is twin


@pytest.mark.parametrize("inner", INNER)
def test_16_bits_are_float16(inner):
    weight = ta.Quantized((40, 30), 16, of=INNER[inner], rng=0)
    for _, tensor in weight.rounded().named_tensors():
        values = tensor.numpy()
        assert values.size == 1 or (values == values.astype(np.float16)).all()


def test_values_beyond_float16_stay_finite_and_zeros_stay_zeros():
    weight = ta.Quantized((2, 2), 16, rng=0)
    weight.of.values.data[:] = [[1e9, -1e9], [1, 0]]
    np.testing.assert_array_equal(weight.decode().numpy(), [[65504, -65504], [1, 0]])
    zero = ta.Quantized((2, 2), 8, rng=0)
    zero.of.values.data[:] = 0
    np.testing.assert_array_equal(zero.decode().numpy(), np.zeros((2, 2)))


@pytest.mark.parametrize("inner", INNER)
@pytest.mark.parametrize("bits", [4, 16])
def test_the_gradient_is_that_of_the_rounded_parameters(inner, bits):
    """And it goes to the parameters themselves: a straight-through estimator."""
    weight = ta.Quantized((40, 30), bits, of=INNER[inner], rng=0)
    g = RANDOM.normal(size=weight.shape).astype(np.float32)
    weight.decode().backward(g)
    plain = weight.of.copy()
    rounded = weight.rounded().arrays()
    plain.load_arrays(rounded)
    np.testing.assert_array_equal(plain.decode().numpy(), weight.decode().numpy())
    plain.decode().backward(g)
    for found, expected in zip(weight.parameters(), plain.parameters()):
        np.testing.assert_array_equal(found.grad, expected.grad)


@pytest.mark.parametrize("inner", INNER)
def test_more_bits_are_closer(inner):
    full = INNER[inner]((40, 30), axes=None, rng=0)
    exact = full.decode().numpy()
    errors = [
        np.linalg.norm(ta.Quantized((40, 30), bits, of=full).decode().numpy() - exact)
        for bits in (2, 4, 8, 16)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-2 * np.linalg.norm(exact)


def test_quantized_factors_are_applied_without_forming_the_weight(monkeypatch):
    weight = ta.Quantized((256, 784), 8, of=ta.LowRank.like(4), rng=0)
    x = ta.Tensor(RANDOM.normal(size=(500, 784)).astype(np.float32))
    expected = x.numpy() @ weight.decode().numpy().T
    monkeypatch.setattr(ta.LowRank, "decode", None)
    np.testing.assert_allclose(weight.linear(x, None).numpy(), expected, rtol=1e-3, atol=1e-4)
    assert weight.linear_multiply_adds() < 256 * 784


def test_frozen_parameters_are_still_rounded():
    model = small({"fc1": ta.Quantized.like(2)})
    frozen = ta.freeze(model, "fc1")
    one, other = (m.fc1.weight.decode().numpy() for m in (model, frozen))
    np.testing.assert_array_equal(one, other)
    assert len(np.unique(one)) <= 3


def test_several_layers_share_a_quantized_encoding():
    model = small({("fc1", "fc2"): ta.Quantized.like(8, of=2)})
    assert model.fc1.weight.decode().shape == (256, 784)
    assert ta.report(model).rows[0].counts.stored_bytes == 436 + 4 * 4


# --- pruned --------------------------------------------------------------------------------------


@pytest.mark.parametrize("density", [0.01, 0.2, 1.0])
def test_pruning_keeps_the_largest_entries(density):
    target = RANDOM.normal(size=(30, 40)).astype(np.float32)
    weight = ta.Pruned((30, 40), density, rng=0)
    (error,) = weight.fit(target)
    kept = round(density * 1200)
    threshold = np.sort(np.abs(target), axis=None)[-kept]
    expected = np.where(np.abs(target) >= threshold, target, 0)
    np.testing.assert_array_equal(weight.decode().numpy(), expected)
    assert error == pytest.approx(np.linalg.norm(target - expected) / np.linalg.norm(target))


@pytest.mark.parametrize("density", [0.001, 0.02, 0.3])
def test_the_bytes_of_a_pruned_weight_are_those_of_its_arrays(density):
    weight = ta.Pruned((300, 400), density, rng=0)
    assert weight.counts().stored_bytes == sum(a.nbytes for a in weight.arrays().values())
    assert (weight.places.dtype == np.uint8) == (density * 4 > 1 / 8)
    assert np.count_nonzero(weight.decode().numpy()) == round(density * 120_000)


def test_training_changes_the_values_and_never_the_places():
    model = small({"fc1": ta.Pruned.like(0.05)})
    before = model.fc1.weight.decode().numpy() != 0
    for _ in ta.train(model, ta.load_data(), epochs=1, batch_size=500, seed=0):
        pass
    np.testing.assert_array_equal(model.fc1.weight.decode().numpy() != 0, before)


# --- an update -----------------------------------------------------------------------------------


def test_an_update_starts_at_the_dense_network_and_leaves_it_frozen():
    dense = ta.models.fc2(rng=3)
    model = ta.compress(dense, {"fc1": ta.Update.like(of=ta.LowRank.like(2))}, rng=0)
    assert ta.fit(model, dense)["fc1"] == [0.0]
    data = ta.load_data()
    x = data.test.images[:50]
    np.testing.assert_allclose(model(x).numpy(), dense(x).numpy(), rtol=1e-5, atol=1e-6)
    for _ in ta.train(model, data, epochs=1, batch_size=500, seed=0):
        pass
    np.testing.assert_array_equal(model.fc1.weight.base.numpy(), dense.fc1.weight.numpy())
    change = model.fc1.weight.decode().numpy() - dense.fc1.weight.numpy()
    assert np.linalg.matrix_rank(change.astype(np.float64), tol=1e-4) == 2
    assert model.num_parameters == 2 * (256 + 784) + 1 + 256 + 2560 + 10


def test_the_gain_gets_its_gradient_at_0():
    weight = ta.Update((4, 9), of=2, rng=0)
    g = RANDOM.normal(size=(4, 9)).astype(np.float32)
    weight.decode().backward(g)
    assert weight.gain.grad.item() == pytest.approx(
        (g * weight.of.decode().numpy()).sum(), rel=1e-4
    )
    assert all((p.grad == 0).all() for p in weight.of.parameters())
    weight.gain.data[:] = 2.0
    np.testing.assert_allclose(
        weight.decode().numpy(),
        weight.base.numpy() + 2 * weight.of.decode().numpy(),
        rtol=1e-6,
    )
    assert weight.fit(g) == [0.0]
    np.testing.assert_array_equal(weight.decode().numpy(), g)


# --- all of them ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "recipe",
    [
        ta.Quantized.like(4, of=ta.ADTN.like(2)),
        ta.Pruned.like(0.01),
        ta.Update.like(of=ta.Quantized.like(8, of=2)),
        ta.MixT.like(((16, 16), (28, 28)), 1),
        ta.Dense.like(),
    ],
)
def test_a_checkpoint_builds_them_again(recipe, tmp_path):
    model = small({"fc1": recipe})
    ta.save(tmp_path / "m.npz", model)
    again = ta.load(tmp_path / "m.npz")
    assert again.config == model.config
    np.testing.assert_array_equal(
        again.fc1.weight.decode().numpy(), model.fc1.weight.decode().numpy()
    )


def test_a_file_with_a_deep_inner_encoding_is_rejected_before_it_is_built():
    model = small({"fc1": ta.Quantized.like(8, of=2)})
    config = model.config
    config["encodings"]["fc1"]["of"]["depth"] = 10**9
    with pytest.raises(TinyADTNError, match="more layers than"):
        build(config, model.arrays())


def test_an_own_class_inside_is_loaded_into_a_model(tmp_path):
    class Own(ta.Frozen):
        def __init__(self, shape, *, axes=None, rng=None):
            super().__init__(shape, axes=axes, rng=rng)
            self.config = {"encoding": "Own", "shape": list(self.shape)}

    recipe = ta.Update.like(of=functools.partial(Own))
    ta.save(tmp_path / "m.npz", small({"fc1": recipe}))
    with pytest.raises(CheckpointError, match="into="):
        ta.load(tmp_path / "m.npz")
    model = ta.load(tmp_path / "m.npz", into=small({"fc1": recipe}, rng=1))
    np.testing.assert_array_equal(
        model.fc1.weight.decode().numpy(), small({"fc1": recipe}).fc1.weight.decode().numpy()
    )


def test_a_sweep_counts_bytes(tmp_path):
    encode = {
        "adtn": 2,
        "int8": {"encoding": "Quantized", "of": 2},
        "pruned": {"encoding": "Pruned", "density": 0.001},
        "update": {"encoding": "Update", "of": {"encoding": "LowRank", "rank": 1}},
    }
    rows = {name: {"encode": {"fc1": entry}} for name, entry in encode.items()}
    spec = {"network": "fc2", "epochs": 0, "count": "bytes", "rows": {**rows, "dense": {}}}
    records = ta.sweep(spec, out=tmp_path / "out.jsonl", show_progress=False)
    assert {record["row"]: counted(record, "bytes") for record in records} == {
        "adtn": 4 * 436,
        "int8": 436 + 4 * 4,
        "pruned": 201 * (4 + 4),
        "update": 4 * (256 * 784 + 256 + 784 + 1),
        "dense": None,
    }


def test_options_of_fit_reach_the_inner_encoding():
    dense = ta.models.fc2(rng=0)
    model = ta.compress(dense, {"fc1": ta.Quantized.like(8, of=1)}, rng=0)
    errors = ta.fit(model, dense, steps=3, show_progress=False)["fc1"]
    assert len(errors) == 4
    left = model.fc1.weight.decode().numpy() - dense.fc1.weight.numpy()
    assert errors[-1] == pytest.approx(
        np.linalg.norm(left) / np.linalg.norm(dense.fc1.weight.numpy()), rel=1e-4
    )
