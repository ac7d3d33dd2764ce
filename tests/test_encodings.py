"""ADTN and Frozen: how many numbers there are, where each goes, and how they start."""

import math
import tracemalloc

import numpy as np
import pytest
from test_brickwall import oracle
from test_sites import positions_by_digits

import tinyadtn as ta
from tinyadtn.autodiff.shape_only import ShapeOnly
from tinyadtn.compression.configure import build_encoding
from tinyadtn.errors import GraphError, ShapeError, SizeLimitError, TinyADTNError
from tinyadtn.tensor_networks.wirings import WIRINGS

BACKWARDS = [((3, 0),), ((2, 1),), ((0, 2),)]
SOME_SITES = [((0, 2),), ((2, 1),)]  # site 3 is never touched

# Shapes and options that between them have every kind of site, crop, order and wiring.
KINDS = [
    ((4, 4), {}),
    ((8, 4), {"depth": 2}),
    ((8, 4), {"depth": 3, "order": "output_first"}),
    ((5, 3), {"depth": 2}),
    ((5, 3), {"depth": 1, "order": "output_first"}),
    ((3, 3, 3, 2), {"depth": 1}),
    ((2, 9), {"depth": 1}),
    ((1, 6), {"depth": 2}),
    ((5,), {"depth": 2}),
    ((4, 9), {"depth": 1, "axes": (4, (3, 3))}),
    ((3, 30), {"depth": 1, "axes": (3, (6, 5))}),
    ((6, 6), {"depth": 2, "order": [5, 2, 0, 4, 1, 3]}),
    ((9, 9), {"depth": 2, "site_dim": 3}),
    ((5, 7), {"depth": 1, "site_dim": 3}),
    ((16, 6), {"depth": 1, "site_dim": 4}),
    ((6, 10), {"depth": 2, "site_dim": (2, 3, 5, 2)}),
    ((5, 9), {"depth": 1, "site_dim": (4, 2, 3, 3), "order": [2, 0, 3, 1]}),
    ((3, 4), {"depth": 2, "wiring": BACKWARDS}),
    ((4, 3), {"depth": 1, "wiring": BACKWARDS, "order": [3, 1, 0, 2]}),
    ((4, 4), {"depth": 2, "wiring": SOME_SITES}),
    ((4, 4), {"depth": 2, "wiring": [((0, 1), (2, 3)), ((0, 2),), ((1, 3), (2, 0))]}),
    ((3, 6), {"depth": 2, "wiring": [((0, 1),), ((1, 2), (3, 4))]}),
]
# Every wiring on bits, on larger sites and on a mixture, with a crop and an odd number of sites.
NAMED = [
    (shape, {"wiring": wiring, **options})
    for wiring in WIRINGS
    for shape, options in (
        ((8, 5), {"depth": 2}),
        ((7, 4), {"depth": 2, "order": "output_first"}),
        ((6, 13), {"depth": 1, "axes": (6, 13)}),
        ((4, 16), {"depth": 2, "site_dim": 4}),
        ((6, 10), {"depth": 2, "site_dim": (2, 4, 4, 3), "order": [2, 0, 3, 1]}),
        ((3, 8, 2), {"depth": 1, "site_dim": (3, 2, 4, 2)}),
    )
]
KINDS += NAMED


def double(weight):
    """The same encoding in float64."""
    for tensor in (*weight.columns, weight.scale):
        tensor.data = tensor.data.astype(np.float64)
    return weight


def adtn(shape, options, activation="leaky_relu", rng=0, normalized=False):
    """An ADTN in float64, in the plain parametrization if not asked otherwise."""
    options = {"activation": activation, "normalized": normalized, **options}
    return double(ta.ADTN(shape, **options, rng=rng))


# --- counts --------------------------------------------------------------------------------------


# For Q sites of dimension 2: gates a layer, fresh gates, and how many stored numbers are not live.
FORMULAS = {
    "brick_wall": lambda q: (q - 1, q // 2, 8 * (q % 2)),
    "staircase": lambda q: (q - 1, 1, 8 * (q - 2)),
    "tree": lambda q: (q - 1, 1, 8 * (q - 2)),
    "butterfly": lambda q: (sum(bin(site).count("1") for site in range(q)), q // 2, 8 * (q % 2)),
}


@pytest.mark.parametrize("wiring", WIRINGS)
@pytest.mark.parametrize("depth", range(1, 9))
def test_stored_and_live_numbers_follow_the_formula(depth, wiring, monkeypatch):
    monkeypatch.setattr(
        "tinyadtn.limits.memory_limit", lambda: 2**50
    )  # shapes only: nothing is made
    for num_sites in range(2, 25):
        shape = (2 ** (num_sites // 2), 2 ** ((num_sites + 1) // 2))
        weight = ta.ADTN(shape, depth, wiring=wiring)
        gates, fresh, dead = FORMULAS[wiring](num_sites)
        counts = weight.counts()
        assert counts.stored == weight.num_parameters == 16 * depth * gates - 12 * fresh
        assert counts.full_gates == 16 * depth * gates
        assert counts.live == counts.stored - dead
        assert counts.dense == counts.padded == 2**num_sites


def test_the_two_vgg_layers_take_424_numbers():
    pair = [
        ta.ADTN(shape, 1, order="output_first").counts() for shape in ((4096, 512), (4096, 4096))
    ]
    assert [counts.stored for counts in pair] == [200, 224]
    assert sum(counts.live for counts in pair) == 416
    assert sum(counts.full_gates for counts in pair) == 688


def stored_by_rule(wiring, dims, depth):
    """A gate on two untouched sites stores one column, every other its whole matrix."""
    touched, total = set(), 0
    for pairs in wiring * depth:
        for i, j in pairs:
            fresh = touched.isdisjoint({i, j})
            total += dims[i] * dims[j] if fresh else (dims[i] * dims[j]) ** 2
        touched |= {site for pair in pairs for site in pair}
    return total


@pytest.mark.parametrize(("shape", "options"), KINDS)
def test_stored_numbers_of_any_wiring_and_sites(shape, options):
    weight = ta.ADTN(shape, **options)
    wiring = options.get("wiring", "brick_wall")
    wiring = WIRINGS[wiring](weight.num_sites) if isinstance(wiring, str) else wiring
    depth = options.get("depth", 1)
    dims = [weight.sites.dims[site] for site in weight.sites.order]
    assert weight.counts().stored == weight.num_parameters == stored_by_rule(wiring, dims, depth)
    full = sum((dims[i] * dims[j]) ** 2 for pairs in wiring for i, j in pairs)
    assert weight.counts().full_gates == depth * full


def live_by_perturbation(weight):
    """How many stored numbers change the decoded weight when they change."""
    before, live = weight.decode().data, 0
    for column in weight.columns:
        for place in np.ndindex(column.shape):
            kept = column.data[place]
            column.data[place] += 1.0
            live += np.abs(weight.decode().data - before).max() > 1e-12 * np.abs(before).max()
            column.data[place] = kept
    return live


@pytest.mark.parametrize("activation", ["leaky_relu", "identity"])
@pytest.mark.parametrize(("shape", "options"), KINDS)
def test_live_numbers_are_those_that_change_the_weight(shape, options, activation):
    weight = adtn(shape, options, activation)
    with ta.no_grad():
        assert weight.counts().live == live_by_perturbation(weight)


def test_padding_is_counted():
    counts = ta.ADTN((256, 784), axes=(256, (28, 28))).counts()
    assert (counts.dense, counts.padded) == (200_704, 262_144)
    assert counts.ratio == 200_704 / counts.stored


# --- decoding ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shape", "options"), KINDS)
def test_decode_puts_every_entry_of_the_oracle_in_its_place(shape, options):
    weight = adtn(shape, options)
    sites = weight.sites
    dims = sites.wall_dims
    state = oracle([c.data for c in weight.columns], weight.wall, dims, "leaky_relu")
    lengths = [n for part in options.get("axes", shape) for n in np.atleast_1d(part).tolist()]
    places = positions_by_digits(lengths, sites.groups, sites.dims, sites.order)
    expected = float(weight.scale.data) * state[places].reshape(shape)
    np.testing.assert_allclose(weight.decode().data, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_weight_has_the_number_type_of_its_gates(dtype):
    weight = ta.ADTN((6, 5), 2, rng=0)
    for column in weight.columns:
        column.data = column.data.astype(dtype)
    decoded = weight.decode()
    decoded.backward(np.ones((6, 5), dtype))
    assert decoded.dtype == dtype
    assert {column.grad.dtype for column in weight.columns} == {np.dtype(dtype)}


# --- the start -----------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "tanh", "identity"])
@pytest.mark.parametrize("shape", [(16, 16), (10, 33), (6, 3, 3, 3), (256, 784), (4, 2, 3)])
def test_the_start_is_spread_like_a_dense_one(shape, activation):
    for depth in (1, 2, 4):
        weight = ta.ADTN(shape, depth, activation=activation, rng=depth)
        std = weight.decode().numpy().astype(np.float64).std()
        assert std == pytest.approx(math.sqrt(2 / math.prod(shape[1:])), rel=1e-5)


def test_the_factor_is_a_buffer():
    weight = ta.ADTN((16, 16), 2, rng=0)
    assert "scale" in weight.arrays()
    assert "scale" not in dict(weight.named_parameters())
    assert float(weight.scale.data) != 1


def test_gates_start_with_variance_a_quarter():
    gates = np.concatenate(
        [c.data.ravel() for c in ta.ADTN((16, 16), 100, activation="identity", rng=0).columns]
    )
    assert len(gates) > 10_000
    assert gates.var() == pytest.approx(0.25, rel=0.05)
    assert abs(gates.mean()) < 0.02


def test_the_same_seed_gives_the_same_bits_and_another_does_not():
    one, same, other = (ta.ADTN((10, 12), 2, rng=seed).decode().data for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 1e-3


def test_a_generator_goes_on_from_where_it_is():
    generator = np.random.default_rng(3)
    one, two = (ta.ADTN((10, 12), rng=generator).decode().data for _ in range(2))
    np.testing.assert_array_equal(one, ta.ADTN((10, 12), rng=3).decode().data)
    assert np.abs(one - two).max() > 1e-3


def test_a_start_that_relu_would_silence_is_drawn_again():
    for seed in range(200):  # a third of the starts of so small a wall decode to zero
        assert ta.ADTN((2, 2), 3, rng=seed).decode().data.any()


# --- shapes only ---------------------------------------------------------------------------------


def test_without_rng_there_are_shapes_and_no_numbers():
    weight = ta.ADTN((4096, 4096), 2)
    assert weight.num_parameters == 16 * 2 * 23 - 12 * 12
    assert all(isinstance(column.data, ShapeOnly) for column in weight.columns)


@pytest.mark.parametrize("make", [lambda: ta.ADTN((8, 4)), lambda: ta.Frozen((8, 4))])
def test_shapes_only_cannot_compute(make):
    layer = ta.Linear(4, 8, rng=0)
    layer.weight = make()
    with pytest.raises(GraphError, match="shapes only"):
        layer(np.ones((2, 4)))


# --- steps ---------------------------------------------------------------------------------------


def test_steps_are_named_and_end_with_the_contraction():
    weight = ta.ADTN((4, 8), 2, activation="tanh", rng=0)
    steps = list(weight.steps())
    assert [step.name for step in steps] == [
        "all sites in |0⟩",
        "layer 1: gates on (0,1) (2,3)",
        "layer 1: gates on (1,2) (3,4)",
        "tanh after layer 1",
        "layer 2: gates on (0,1) (2,3)",
        "layer 2: gates on (1,2) (3,4)",
    ]
    assert all(step.state.shape == (32,) and not step.state.requires_grad for step in steps)
    np.testing.assert_allclose(steps[-1].state.data, weight.contract().data, rtol=1e-4, atol=1e-7)


def test_identity_is_no_step():
    assert len(list(ta.ADTN((4, 4), 3, activation="identity", rng=0).steps())) == 1 + 2 * 3


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"depth": 0}, "depth of 1 or more, got 0"),
        ({"depth": -1}, "got -1"),
        ({"activation": "gelu"}, "relu, leaky_relu, tanh, identity, got 'gelu'"),
        ({"wiring": "ladder"}, "butterfly or a list .* got 'ladder'"),
        ({"order": "random"}, "got 'random'"),
        ({"order": [0, 1, 2]}, "0 … 3 once"),
        ({"axes": (4, (2, 3))}, "6"),
        ({"site_dim": (2, 2, 2)}, "3 entries"),
        ({"wiring": [((0, 1), (1, 2))]}, r"different sites of 0 … 3"),
        ({"wiring": [((0, 4),)]}, r"0 … 3"),
        ({"wiring": []}, "at least one gate"),
        ({"wiring": [(), ()]}, "at least one gate"),
    ],
)
def test_bad_arguments_are_refused(options, says):
    with pytest.raises(ValueError, match=says):
        ta.ADTN((4, 4), **options, rng=0)


@pytest.mark.parametrize(
    "options", [{"depth": 2}, {"wiring": [((0, 1),)]}, {"site_dim": 4}, {"depth": 30}]
)
def test_a_tensor_beyond_the_memory_is_refused_before_it_is_made(options):
    tracemalloc.start()
    try:
        with pytest.raises(SizeLimitError, match=r"1,099,511,627,776 numbers.* GiB"):
            ta.ADTN((2**20, 2**20), rng=0, **options)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("site_dim", [2, 4, (2, 4, 4, 4, 2, 2, 4, 4, 2), 16])
@pytest.mark.parametrize("wiring", WIRINGS)
@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("normalized", [False, True])
def test_what_a_step_takes_is_within_the_estimate(normalized, depth, wiring, site_dim, monkeypatch):
    """2^14 numbers. A limit of what was measured is refused; twice as much is enough."""
    ta.ADTN((4, 4), wiring=wiring, rng=0).decode().backward(np.ones((4, 4)))  # loads what is lazy
    options = {"activation": "leaky_relu", "wiring": wiring, "site_dim": site_dim}
    options["normalized"] = normalized
    tracemalloc.start()
    try:
        weight = ta.ADTN((128, 128), depth, **options, rng=0)
        optimizer, cotangent = ta.Adam(weight.parameters()), np.ones((128, 128), np.float32)
        for _ in range(2):  # the second finds the optimiser's state there
            optimizer.zero_grad()
            weight.decode().backward(cotangent)
            optimizer.step(0.1)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    peak -= 2**13 * sum(len(column.pairs) for column in weight.wall)  # Python's own objects
    assert peak < weight.peak_bytes() <= 2 * peak
    monkeypatch.setattr("tinyadtn.limits.memory_limit", lambda: peak)
    if weight.chain(1) is None or wiring != "brick_wall" or site_dim != 2:
        with pytest.raises(SizeLimitError):
            ta.ADTN((128, 128), depth, **options)
    monkeypatch.setattr("tinyadtn.limits.memory_limit", lambda: 2 * peak)
    ta.ADTN((128, 128), depth, **options)


@pytest.mark.parametrize(
    ("shape", "options", "says"),
    [
        ((2**10, 2**10), {"depth": 2, "site_dim": 2**10}, "28,672.* GiB.*wiring="),  # one gate
        ((2**17, 2**17), {"depth": 1, "wiring": "butterfly"}, "wiring="),
        ((2**17, 2**17), {"depth": 1}, "smaller depth$"),
    ],
)
def test_gates_count_too_and_the_way_out_is_named(shape, options, says, monkeypatch):
    monkeypatch.setattr("tinyadtn.limits.memory_limit", lambda: 2**34)
    with pytest.raises(SizeLimitError, match=says):
        ta.ADTN(shape, **options).decode()


# --- frozen --------------------------------------------------------------------------------------


def test_frozen_weights_are_random_and_never_trained():
    frozen = ta.Frozen((64, 128), rng=0)
    assert frozen.parameters() == []
    assert not frozen.decode().requires_grad
    assert frozen.decode().numpy().std() == pytest.approx(math.sqrt(2 / 128), rel=0.05)
    assert frozen.counts().stored == frozen.counts().live == 0
    assert frozen.counts().ratio == math.inf
    assert list(frozen.arrays()) == ["values"]  # but saved


@pytest.mark.filterwarnings("ignore:overflow")
def test_the_error_of_a_dense_fit_is_that_of_rounding():
    dense = ta.Dense((2, 3), rng=0)
    assert dense.fit(np.full((2, 3), 0.5)) == [0.0]
    assert dense.fit(np.full((2, 3), 0.1)) == [pytest.approx(1.49e-8, rel=1e-2)]
    assert dense.fit(np.full((2, 3), 1e39)) == [np.inf]  # more than float32 holds


# --- wirings and shapes that are none ------------------------------------------------------------


@pytest.mark.parametrize(
    ("wiring", "got"),
    [
        ([(0, 1), (1, 2), (2, 3)], r"\(0, 1\)"),
        ([[(0, 1), 2]], r"\(\(0, 1\), 2\)"),
        ([[(0, 1, 2)]], r"\(\(0, 1, 2\),\)"),
        ([[(0, 1.5)]], r"\(\(0, 1.5\),\)"),
        ([["01"]], r"\('01',\)"),
        (["01"], "'01'"),
        ([None], "None"),
        (3, "3"),
        (None, "None"),
    ],
)
def test_what_is_no_wiring_is_refused(wiring, got):
    with pytest.raises(ShapeError, match=rf"columns, each a list of pairs.*\(2, 3\).*; got {got}$"):
        ta.ADTN((4, 4), wiring=wiring)


def test_where_a_site_without_gates_is_not_0_the_weight_is():
    weight = ta.ADTN((4, 4), 2, wiring=[[(0, 1)], [(1, 2)]], order="output_first", rng=0)
    decoded = weight.decode().numpy()
    assert not decoded[:, 1::2].any()  # the last site is the last bit of the second axis
    assert decoded[:, ::2].any()


@pytest.mark.parametrize("shape", ["ab", (0, 3), (2, -1), (2, 1.5), 3, None])
def test_a_frozen_weight_of_no_shape_is_refused(shape):
    with pytest.raises(ShapeError, match="Frozen needs a shape of lengths of 1 or more, got "):
        ta.Frozen(shape)


def test_a_frozen_weight_needs_an_axis():
    with pytest.raises(ShapeError, match=r"Frozen needs 1 axis or more, got \(\)$"):
        ta.Frozen(())
    assert ta.Frozen(np.array([3, 2]), rng=0).config["shape"] == [3, 2]


# --- the parametrization -------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "identity"])
def test_both_parametrizations_start_with_the_same_weight(depth, activation):
    """Orthogonal gates have the norm that a normalized gate acts with."""
    one, two = (
        ta.ADTN((20, 30), depth, activation=activation, normalized=n, rng=5) for n in (True, False)
    )
    assert one.num_parameters == two.num_parameters
    np.testing.assert_allclose(one.decode().data, two.decode().data, rtol=0, atol=1e-6)


def test_the_factors_of_a_normalized_weight_make_it():
    shape = (512, 1024)
    weight = ta.ADTN(shape, order="output_first", rng=2)
    cotangent = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    found = []
    for value in (weight.decode(), ta.matmul(*weight.factors())):
        value.backward(cotangent)
        found.append([value.data, *(column.grad for column in weight.columns)])
        for column in weight.columns:
            column.grad = None
    for ours, other in zip(*found):
        np.testing.assert_allclose(ours, other, rtol=0, atol=1e-4 * np.abs(other).max())


def test_an_adtn_of_64_layers_decodes_to_a_usual_weight():
    """The norms of relu's output, 2^(-1/2) a layer, are divided out."""
    weight = ta.ADTN((64, 100), 64, rng=0)
    decoded = weight.decode()
    decoded.backward(np.ones((64, 100), np.float32))
    assert decoded.data.std() == pytest.approx(math.sqrt(2 / 100), rel=1e-5)
    assert all(0 < np.abs(column.grad).max() < 1e4 for column in weight.columns)


@pytest.mark.parametrize("bad", ["yes", 1, None, 0.0])
def test_normalized_is_true_or_false(bad):
    with pytest.raises(ValueError, match="normalized must be True or False, got"):
        ta.ADTN((4, 4), normalized=bad)
    assert ta.ADTN((4, 4), normalized=np.True_).config["normalized"] is True


def test_a_configuration_without_the_option_is_plain():
    """Files from before it was there: the same arrays give the same bits."""
    plain = ta.ADTN((12, 20), 2, normalized=False, rng=0)
    config = {k: v for k, v in plain.config.items() if k != "normalized"}
    again = build_encoding(config, {})
    assert not again.normalized
    again.load_arrays(plain.arrays())
    np.testing.assert_array_equal(again.decode().data, plain.decode().data)


@pytest.mark.parametrize(
    ("make", "ours"),
    [
        (lambda: ta.ADTN((8, 8), M=2), "depth"),
        (lambda: ta.ADTN((8, 8), 2, sigma="relu"), "activation"),
        (lambda: ta.ADTN.like(M=2), "depth"),
    ],
)
def test_the_symbols_of_the_papers_name_our_options(make, ours):
    with pytest.raises((TypeError, TinyADTNError), match=rf"did you mean {ours}\?"):
        make()


@pytest.mark.parametrize("product", [lambda w: w @ np.ones(8), lambda w: np.ones(8) @ w])
@pytest.mark.parametrize("kind", [ta.ADTN, ta.LowRank])
def test_a_product_with_an_encoding_names_decode(product, kind):
    with pytest.raises(TypeError, match=rf"^{kind.__name__} is not an array: .*\.decode\(\)"):
        product(kind((8, 8), 2, rng=0))
