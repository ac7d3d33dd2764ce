"""Decode-free layers against decoded ones: the same values, the same gradients of everything."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinyadtn as ta
from tinyadtn.decode_free import chain as chain_module
from tinyadtn.decode_free import cost, row, wall_chain
from tinyadtn.decode_free import rule as decode_free
from tinyadtn.decode_free.by_factors import ByFactors
from tinyadtn.decode_free.cost import work
from tinyadtn.decode_free.precomputed import PrecomputedFactors
from tinyadtn.decode_free.row import ConvChain, conv_work, unfold_work
from tinyadtn.decode_free.rule import conv_route, linear_route
from tinyadtn.encodings import adtn
from tinyadtn.encodings.scale import spread
from tinyadtn.errors import GraphError
from tinyadtn.nn.weights import Geometry, convolution, linear


@pytest.fixture
def only_multiply_adds(monkeypatch):
    """Count nothing else, and cut small walls in several cores too, worth it or not."""
    for module, name in [(m, n) for m in (cost, wall_chain) for n in ("CALL", "MOVED", "MATRIX")]:
        monkeypatch.setattr(module, name, 0, raising=False)
    monkeypatch.setattr(wall_chain, "SPAN", 3)
    monkeypatch.setattr(adtn, "wall_chain", wall_chain.best_chain)
    wall_chain.best_chain.cache_clear()
    yield
    wall_chain.best_chain.cache_clear()


def doubled(encoding):
    for _, tensor in encoding.named_tensors():
        tensor.data = tensor.data.astype(np.float64)
    return encoding


def gradients(y, g, tensors):
    for tensor in tensors:
        tensor.grad = None
    y.backward(g)
    return [y.data, *(tensor.grad for tensor in tensors)]


def tensors_for(encoding, x, rng, biased):
    bias = ta.Tensor(rng.normal(size=encoding.shape[0]), True) if biased else None
    x = ta.Tensor(x, True)
    return x, bias, [x, *encoding.parameters(), *([bias] if biased else [])]


def assert_same(found, wanted):
    for a, b in zip(found, wanted, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9 * max(1e-3, np.abs(b).max()))


def compare_linear(encoding, monkeypatch, batch=3, biased=True):
    """The layer through the factors, whatever the rule says, against the decoded weight."""
    rng = np.random.default_rng(0)
    x, bias, tensors = tensors_for(
        encoding, rng.normal(size=(batch, encoding.shape[1])), rng, biased
    )
    chain = encoding.chain(batch)
    assert chain is not None
    monkeypatch.setattr(decode_free, "linear_route", lambda *_: chain)
    g = rng.normal(size=(batch, encoding.shape[0]))
    found = gradients(linear(x, encoding, bias), g, tensors)
    y = ta.contract(x, encoding.decode(), pattern="ni,oi->no")
    wanted = gradients(y if bias is None else y + bias, g, tensors)
    assert_same(found, wanted)
    ready = PrecomputedFactors(encoding.shape, "", chain, encoding.factors(chain))
    np.testing.assert_allclose(linear(x, ready, bias).data, wanted[0], rtol=1e-9, atol=1e-9)


def free_route(encoding, made, groups=1):
    """What ``conv_route`` would choose if decoding took forever."""
    encoding.decode_work = lambda: 10**18
    route = conv_route(encoding, made, made, groups)
    del encoding.decode_work
    return route


def compare_conv(encoding, monkeypatch, image=(7, 6), biased=True, **options):
    rng, geometry = np.random.default_rng(0), Geometry(**options)
    channels = encoding.shape[1] * geometry.groups
    pixels = rng.normal(size=(2, channels, *image))
    x, bias, tensors = tensors_for(encoding, pixels, rng, biased)
    route = free_route(encoding, 50, geometry.groups)
    assert route is not None
    monkeypatch.setattr(decode_free, "conv_route", lambda *_: route)
    y = ta.conv2d(x, encoding.decode(), **options)
    g = rng.normal(size=y.shape)
    wanted = gradients(y if bias is None else y + bias.reshape(-1, 1, 1), g, tensors)
    found = gradients(convolution(x, encoding, bias, geometry), g, tensors)
    assert_same(found, wanted)
    return route


# --- every encoding, every layer -----------------------------------------------------------------

ORDERS = ["output_first", "interleaved", "inputs first", "shuffled"]


def order_of(name, shape, axes=None):
    if name in ("output_first", "interleaved"):
        return name
    sites = ta.ADTN(shape, axes=axes).sites
    outputs = sum(map(len, sites.groups[: sites.num_outputs]))
    if name == "inputs first":
        return (*range(outputs, len(sites.dims)), *range(outputs))
    return tuple(np.random.default_rng(len(sites.dims)).permutation(len(sites.dims)).tolist())


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((16, 32), None),
        ((10, 21), None),
        ((12, 30), ((3, 4), (5, 6))),
        ((1, 9), None),
        ((9, 1), None),
    ],
)
def test_a_linear_layer_of_a_wall(shape, axes, order, batch, monkeypatch, only_multiply_adds):
    weight = doubled(ta.ADTN(shape, axes=axes, order=order_of(order, shape, axes), rng=1))
    if 1 in shape:  # all sites are outputs, or all are inputs
        assert weight.chain(batch) is None
        return
    compare_linear(weight, monkeypatch, batch, biased=batch == 3)


GEOMETRIES = [
    {},
    {"padding": 1},
    {"stride": 2, "padding": (2, 1)},
    {"dilation": (2, 1), "stride": (1, 2), "padding": 2},
    {"stride": (2, 3), "padding": (3, 5)},  # with a 1×1 kernel as many outputs as pixels
]
GROUPED = {"groups": 2, "padding": 1, "stride": 2}


@pytest.mark.parametrize("options", GEOMETRIES, ids=str)
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("shape", [(8, 4, 2, 4), (10, 5, 3, 3), (6, 7, 1, 1)])
def test_a_convolution_of_a_wall(shape, order, options, monkeypatch, only_multiply_adds):
    weight = doubled(ta.ADTN(shape, order=order_of(order, shape), rng=1))
    route = compare_conv(weight, monkeypatch, **options)
    assert isinstance(route, ConvChain) == (order in ("output_first", "inputs first"))


RIVALS = [
    ta.LowRank.like(2),
    ta.TensorTrain.like(((2, 3), (5, 6)), 3),
    ta.TensorTrain.like(((3, 1, 2), (1, 6, 5)), 2),
    ta.TensorTrain.like(((6,), (30,)), 1),
    ta.TensorTrain.like(((6, 1), (1, 30)), 4),
]


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("recipe", RIVALS, ids=range(len(RIVALS)))
def test_a_linear_layer_of_a_rival(recipe, batch, monkeypatch):
    compare_linear(doubled(recipe((6, 30), rng=1)), monkeypatch, batch)


@pytest.mark.parametrize("options", GEOMETRIES, ids=str)
@pytest.mark.parametrize("recipe", RIVALS, ids=range(len(RIVALS)))
def test_a_convolution_of_a_rival(recipe, options, monkeypatch):
    compare_conv(doubled(recipe((6, 5, 2, 3), rng=1)), monkeypatch, biased=False, **options)


@pytest.mark.parametrize("options", [*GEOMETRIES, GROUPED], ids=str)
@pytest.mark.parametrize(("shape", "ranks"), [((6, 5, 2, 3), (3, 2)), ((4, 2, 3, 3), (4, 2))])
def test_a_convolution_of_a_tucker_kernel(shape, ranks, options, monkeypatch):
    assert isinstance(
        compare_conv(doubled(ta.Tucker(shape, ranks, rng=1)), monkeypatch, **options), ConvChain
    )


@pytest.mark.parametrize(
    "recipe", [ta.LowRank.like(3), ta.ADTN.like(order="output_first")], ids=["rank 3", "ADTN"]
)
def test_groups_go_through_a_row(recipe, monkeypatch):
    route = compare_conv(doubled(recipe((6, 3, 3, 2), rng=1)), monkeypatch, **GROUPED)
    assert isinstance(route, ConvChain)


def test_groups_of_another_chain_are_decoded(only_multiply_adds):
    assert free_route(ta.ADTN((8, 4, 3, 3), rng=0), 50, groups=1) is not None
    assert free_route(ta.ADTN((8, 4, 3, 3), rng=0), 50, groups=2) is None


@settings(max_examples=60, deadline=None)
@given(
    shape=st.lists(st.integers(1, 9), min_size=2, max_size=4).filter(lambda s: np.prod(s) > 4),
    seed=st.integers(0, 99),
    batch=st.sampled_from([1, 2, 7, 300]),
)
def test_any_shape_in_any_order(shape, seed, batch):
    rng = np.random.default_rng(seed)
    sites = ta.ADTN(shape).sites
    weight = ta.ADTN(shape, order=rng.permutation(len(sites.dims)), rng=seed)
    chain = weight.chain(batch)
    if chain is None:
        return
    x = rng.normal(size=(batch, int(np.prod(shape[1:])))).astype(np.float32)
    y = linear(
        ta.Tensor(x), PrecomputedFactors(weight.shape, "", chain, weight.factors(chain)), None
    ).data
    wanted = x @ weight.decode().data.reshape(shape[0], -1).T
    np.testing.assert_allclose(y, wanted, rtol=1e-3, atol=1e-5 * np.abs(wanted).max() + 1e-12)


# --- what has no chain ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weight", "reason"),
    [
        (ta.ADTN((8, 8), 2, rng=0), "M=2 .*it needs depth 1"),
        (ta.ADTN((64,), rng=0), r"shape \(64,\) .* and inputs"),
        (ta.ADTN((4, 4), rng=0), "fewer multiply-adds than the weight"),
        (ta.ADTN((16, 16), wiring="butterfly", rng=0), "butterfly .*brick_wall"),
    ],
    ids=str,
)
def test_what_is_no_chain_is_decoded_and_says_why(weight, reason):
    assert weight.chain(100) is None
    with pytest.raises(TypeError, match=reason):
        weight.factors()


def test_batches_of_one_order_share_the_chain():
    """Its indices are as large as the cores, and the same for all batches."""
    weight = ta.ADTN((300, 5000), order="output_first")
    assert weight.chain(3) is weight.chain(5000)
    assert any(index is not None for index in weight.chain(3).index)
    assert wall_chain.best_chain.cache_info().maxsize <= 64


@pytest.mark.parametrize("rows, count", [(1, 7), (1.7, 4), (2, 1)])
@pytest.mark.parametrize(
    "recipe", [ta.ADTN.like(1), ta.TensorTrain.like(ranks=3), ta.LowRank.like(5)]
)
def test_seven_rows_go_through_in_blocks(recipe, rows, count, monkeypatch, only_multiply_adds):
    weight = doubled(recipe((6, 90), rng=1))
    monkeypatch.setattr(chain_module, "BLOCK", rows * weight.chain(7).widest)
    assert len(weight.chain(7).blocks(7)) == count
    compare_linear(weight, monkeypatch, batch=7)


@pytest.mark.parametrize("floats", [1, 3_000, 5_000, 2**21])
def test_patches_go_through_in_blocks_of_rows_and_images(floats, monkeypatch):
    monkeypatch.setattr(row, "BLOCK", floats)
    weight = doubled(ta.TensorTrain((6, 5, 3, 3), ((3, 2), (5, 9)), 3, rng=0))
    assert 2_000 < weight.chain(1).widest * 7 * 6 < 6_000  # an image is more than one block, or one
    compare_conv(weight, monkeypatch, padding=1)


# --- the rule ------------------------------------------------------------------------------------


def cost_of(weight, batch):
    chain = weight.chain(batch)
    return (
        chain.build_work + chain.work(batch),
        weight.decode_work() + work(batch, weight.shape[1], weight.shape[0]),
    )


@pytest.mark.parametrize("rank", [1, 8, 64, 100, 128, 200])
@pytest.mark.parametrize("batch", [1, 64, 4096])
def test_the_cheaper_side_of_the_rule_is_taken(rank, batch):
    weight = ta.LowRank((200, 300), rank)
    free, whole = cost_of(weight, batch)
    assert (linear_route(weight, batch) is not None) == (free < whole)


# Build the factors, a batch through them, decode, a batch through the dense weight.
@pytest.mark.parametrize(
    ("costs", "precomputed", "is_free"),
    [
        ((1, 10, 5, 7), False, True),
        ((3, 10, 5, 7), False, False),  # build the factors: 13 against 12
        ((9, 6, 0, 7), False, False),
        ((9, 6, 0, 7), True, True),  # both are there: 6 against 7
        ((0, 8, 9, 7), False, True),
        ((0, 8, 9, 7), True, False),
    ],
)
def test_the_rule_compares_planted_costs(costs, precomputed, is_free, monkeypatch):
    build, through, decode, dense = costs
    weight = ta.LowRank((8, 4, 3, 3), 2)
    chain = weight.chain(1)
    planted = replace(chain, build_work=build)
    monkeypatch.setattr(type(planted), "work", lambda *_: through)
    monkeypatch.setattr(ConvChain, "work", lambda *_: through)
    weight.chain, weight.decode_work = lambda batch: planted, lambda: decode
    for name in ("work", "conv_work"):
        monkeypatch.setattr(decode_free, name, lambda *_: dense)
    assert (linear_route(weight, 5, precomputed) is not None) == is_free
    assert (conv_route(weight, 5, 5, precomputed=precomputed) is not None) == is_free


def test_the_rule_knows_which_kernels_winograd_computes():
    def products(kernel):
        return conv_work(kernel, 10_000) - unfold_work(kernel, 10_000)

    assert products((64, 64, 3, 3)) < work(64, 64 * 9, 10_000)
    for kernel in ((64, 64, 5, 5), (64, 16, 3, 3), (16, 64, 3, 3)):
        assert products(kernel) == work(kernel[0], math.prod(kernel[1:]), 10_000)


def test_the_batch_decides():
    """Rank 150 of a 200×300 matrix: more multiply-adds than the dense one, but none to decode."""
    weight = ta.LowRank((200, 300), 150)
    assert linear_route(weight, 1) is not None
    assert linear_route(weight, 10_000) is None
    assert linear_route(weight, 1, precomputed=True) is None


def test_a_tensor_and_a_part_are_used_whole():
    whole = ta.LowRank((6, 8), 1, rng=0)
    part = ta.SharedWeight(whole, 0, {"fc1": (4, 8), "fc2": (2, 8)})
    for weight in (part, ta.Tensor(np.ones((4, 8), np.float32))):
        assert linear_route(weight, 10**6) is None
    assert conv_route(ta.Tensor(np.ones((4, 8, 1, 1), np.float32)), 10**6, 10**6) is None


def test_layers_follow_the_rule(monkeypatch):
    """A layer decodes where the rule says so and only there."""
    calls = []
    decode = ta.LowRank.decode
    monkeypatch.setattr(ta.LowRank, "decode", lambda self: calls.append(self.rank) or decode(self))
    x = np.ones((500, 300), np.float32)
    for rank in (2, 190):
        layer = ta.Linear(300, 200, rng=0)
        layer.weight = ta.LowRank((200, 300), rank, rng=0)
        calls.clear()
        layer(x)
        assert calls == ([] if rank == 2 else [190])
        conv = ta.Conv2d(40, 200, 3, rng=0)
        conv.weight = ta.LowRank((200, 40, 3, 3), rank, rng=0)
        calls.clear()
        conv(np.ones((10, 40, 22, 22), np.float32))
        assert calls == ([] if rank == 2 else [190])


def test_shapes_only_are_refused():
    layer = ta.Linear(300, 200)
    for recipe in (ta.LowRank.like(2), ta.ADTN.like(1), ta.ADTN.like(1, wiring="staircase")):
        layer.weight = recipe((200, 300))
        with pytest.raises(GraphError, match="shapes only"):
            layer(np.ones((2, 300), np.float32))


# --- the start of an ADTN ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((300, 260), {}),
        ((300, 400), {"order": "output_first"}),
        ((90, 70, 3, 2), {}),
        ((100, 300), {"wiring": "staircase"}),
        ((100, 30), {"depth": 2}),
    ],
    ids=str,
)
def test_a_new_weight_is_spread_like_a_dense_one_whether_decoded_or_not(shape, options):
    weight = ta.ADTN(shape, **options, rng=0)
    values = weight.decode().numpy()
    assert spread(weight) == pytest.approx(values.std(dtype=np.float64), rel=1e-5)
    assert values.std(dtype=np.float64) == pytest.approx((2 / np.prod(shape[1:])) ** 0.5, rel=1e-4)


def test_a_large_start_is_drawn_without_decoding(monkeypatch):
    monkeypatch.setattr(ta.ADTN, "decode", None)
    assert ta.ADTN((4096, 4096), rng=0).num_parameters == 224


# --- on a GPU ------------------------------------------------------------------------------------

IMAGE = np.random.default_rng(7).random((3, 4, 6, 5), np.float32)
SPECS = {
    "row": {"conv1": ta.ADTN.like(order="output_first"), "fc1": ta.ADTN.like(order="output_first")},
    "chain": {"conv1": ta.TensorTrain.like(((2, 4), (6, 6)), 3), "fc1": ta.ADTN.like()},
    "low rank": {"conv1": ta.LowRank.like(2), "fc1": ta.LowRank.like(2)},
    "rivals": {
        "conv1": ta.Tucker.like((3, 2)),
        "fc1": ta.TensorTrain.like(((13, 10, 1), (4, 10, 6)), 2),
    },
}


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_the_factors_work_where_their_arrays_are(spec, cuda, monkeypatch, only_multiply_adds):
    """On the stand-in for CuPy, which refuses NumPy's arrays: the same loss and gradients."""
    monkeypatch.setattr(ByFactors, "decode_work", lambda self: 10**18)
    model = ta.Sequential(
        conv1=ta.Conv2d(4, 8, 3, padding=1, rng=0),
        flatten=ta.Flatten(),
        fc1=ta.Linear(240, 130, rng=1),
    )
    model = ta.compress(model, spec, rng=2)
    there = ta.to_device(model, "cuda")
    with monkeypatch.context() as nothing_decodes:
        for kind in (ta.ADTN, ta.LowRank, ta.Tucker, ta.TensorTrain):
            nothing_decodes.setattr(kind, "decode", None)
        for twin in (model, there):
            (twin(IMAGE, training=True) * twin(IMAGE)).sum().backward()
    for a, b in zip(model.parameters(), there.parameters(), strict=True):
        np.testing.assert_allclose(
            b.grad.get(), a.grad, rtol=1e-3, atol=1e-3 * np.abs(a.grad).max()
        )
    with ta.decoded(there) as ready:
        found = ready(IMAGE).numpy()
    np.testing.assert_allclose(found, model(IMAGE).data, rtol=1e-3, atol=1e-4)


def test_the_gradient_of_the_bias_of_a_chain_loses_no_digits():
    """It is a sum over all rows, which NumPy adds one after another."""
    chain = chain_module.Chain(((1, 3, 1, 1), (1, 1, 2, 1)))
    cores = [np.ones(shape, np.float32) for shape in ((1, 3, 1, 1), (1, 1, 2, 1))]
    bias = ta.Tensor(np.zeros(3, np.float32), requires_grad=True)
    x = np.ones((2**20, 2), np.float32)
    y = chain_module.through(x, *cores, bias, chain=chain, biased=True)
    y.backward(np.full(y.shape, 0.1, np.float32))
    np.testing.assert_allclose(bias.grad, np.float32(0.1) * 2.0**20, rtol=1e-6)
