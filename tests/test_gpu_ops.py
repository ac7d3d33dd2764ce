"""Every op and every encoding on device "cuda": the numbers of NumPy's run, and arrays that stay.

The fixture ``cuda`` is a strict stand-in for CuPy (``strict_arrays``), in which any array that was
left on the host, and any function that CuPy lacks, raises TypeError.
"""

import encoding_table
import numpy as np
import op_table
import pytest

import tinyadtn as ta
from tinyadtn.encodings.adtn import ADTN
from tinyadtn.errors import DeviceError, GraphError, NonFiniteError, ShapeError

EVERY_OP = pytest.mark.parametrize("row", op_table.ROWS, ids=str)
EVERY_ENCODING = pytest.mark.parametrize("row", encoding_table.ROWS, ids=str)
TOLERANCE = {np.float64: 1e-10, np.float32: 1e-4}
WALLS = [(num_sites, depth) for num_sites in (3, 4, 5, 8, 9) for depth in (1, 2, 3)]


def on_both(arrays):
    """The arrays as leaves on the host, and as leaves on the device."""
    host = [ta.Tensor(a, requires_grad=True) for a in arrays]
    return host, [ta.to_device(x, "cuda") for x in host]


def assert_same(there, here, cuda):
    """An array of the device, of the same type, with about the same numbers."""
    assert type(there) is cuda.ndarray
    assert (there.dtype, there.shape) == (here.dtype, here.shape)
    scale = np.abs(here).max(initial=1e-3)
    tolerance = TOLERANCE.get(here.dtype.type, 0)
    np.testing.assert_allclose(there.get(), here, rtol=tolerance, atol=tolerance * scale)


@EVERY_OP
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_every_op_and_its_gradients(cuda, row, dtype):
    host, device = on_both(row.draw(dtype=dtype))
    expected, value = row(*host), row(*device)
    assert_same(value.data, expected.data, cuda)
    g = np.random.default_rng(1).normal(size=expected.shape).astype(dtype)
    expected.backward(g)
    value.backward(g)
    for x, y in zip(device, host):
        assert_same(x.grad, y.grad, cuda)


@pytest.mark.parametrize("row", [row for row in op_table.ROWS if row.empty], ids=str)
def test_arrays_without_elements(cuda, row):
    host, device = on_both(row.draw(shapes=row.empty))
    expected, value = row(*host), row(*device)
    assert_same(value.data, expected.data, cuda)
    value.backward(np.ones(expected.shape))
    assert [x.grad.shape for x in device] == [x.shape for x in host]


@pytest.mark.parametrize(
    "function",
    [
        lambda x, w: (x - 1) * 2.5 + [[1.0, 2.0, 3.0]] - w,
        lambda x, w: 2 / (1 + x * x) ** 0.5 + w,
        lambda x, w: w * x,  # a NumPy array is asked first
        lambda x, w: ta.contract(w, x, pattern="ij,ij->i"),
        lambda x, w: ta.concatenate(x, w),
        lambda x, w: ta.where(w > 0, x, 0.0),
        lambda x, w: ta.maximum(x, np.float64(0.3)) + np.array(0.1),
        lambda x, w: ta.mean_squared_error(x, w),
        lambda x, w: x[np.array([1, 0, 1]), [2, 2, 0]],
        lambda x, w: x[:, [2, 0]] + x[1, 2],
        lambda x, w: ta.softmax_cross_entropy(x, labels=[2, 0]),
        lambda x, w: ta.max(x * x.T.T, axis=0) - ta.min(-x),
    ],
)
def test_what_is_no_tensor_goes_up_beside_one(cuda, rng, function):
    a, w = rng.normal(size=(2, 3)), rng.normal(size=(2, 3))
    (x,), (there,) = on_both([a])
    expected, value = function(x, w), function(there, w)
    assert_same(value.data, expected.data, cuda)
    expected.sum().backward()
    value.sum().backward()
    assert_same(there.grad, x.grad, cuda)


def test_an_array_of_the_device_leaves_the_operator_to_the_tensor(cuda):
    there = ta.to_device(ta.Tensor([1.0, 2.0], requires_grad=True), "cuda")
    for product in (there.data * there, there * there.data):
        assert isinstance(product, ta.Tensor) and product.requires_grad
        assert product.numpy().tolist() == [1, 4]
    assert (there.data - there).numpy().tolist() == [0, 0]


def test_numbers_keep_their_types_beside_the_device(cuda):
    x = ta.to_device(ta.Tensor(np.ones(2, np.float32)), "cuda")
    for value in (x * np.sqrt(2), 0.1 + x, x / np.float64(3), x**2, ta.where(x > 0, x, 0.0)):
        assert value.dtype == np.float32
    integers = ta.to_device(ta.Tensor(np.array([1, 2])), "cuda")
    assert (integers + 1).dtype == (2 * integers).dtype == np.int64
    booleans = ta.to_device(ta.Tensor(np.array([True, False])), "cuda")
    assert (booleans + 2).numpy().tolist() == [3, 2]


def test_tensors_on_two_devices_are_refused_with_the_way_out(cuda):
    here = ta.Tensor([1.0, 2.0])
    there = ta.to_device(here, "cuda")
    for call in (
        lambda: here + there,
        lambda: there * here,
        lambda: ta.concatenate(there, here),
        lambda: here * there.data,
        lambda: ta.where(np.array([True, False]), there, here),
    ):
        with pytest.raises(DeviceError, match=r'ta.to_device\(tensor, "cuda"\)'):
            call()


def test_nothing_comes_down_unasked(cuda):
    there = ta.to_device(ta.Tensor([1.0, 2.0]), "cuda")
    with pytest.raises(DeviceError, match=r"tensor.numpy\(\)"):
        np.asarray(there)
    with pytest.raises(TypeError):
        ta.softmax_cross_entropy(ta.Tensor([[1.0, 2.0]]), labels=cuda.zeros(1, int))
    assert there.numpy().tolist() == [1, 2]
    assert (there.sum().item(), float(there.data[1])) == (3, 2)
    assert "Tensor([1., 2.]" in repr(there) and len(there) == 2
    assert [x.item() for x in there] == [1, 2]


def test_labels_are_checked_there_too(cuda):
    logits = ta.to_device(ta.Tensor(np.eye(3)), "cuda")
    assert ta.accuracy(logits, [0, 1, 0]) == pytest.approx(2 / 3)
    with pytest.raises(ShapeError, match=r"0 … 2, got 0 … 3"):
        ta.softmax_cross_entropy(logits, labels=np.array([0, 1, 3]))


def test_an_anomaly_is_found_there_too(cuda):
    with ta.detect_anomaly(), np.errstate(divide="ignore"), pytest.raises(NonFiniteError):
        ta.log(ta.to_device(ta.Tensor([1.0, 0.0]), "cuda"))


# --- encodings -----------------------------------------------------------------------------------


@EVERY_ENCODING
def test_every_encoding_decodes_and_has_gradients(cuda, row):
    host = row.make(0)
    device = ta.to_device(host, "cuda")
    expected, value = host.decode(), device.decode()
    assert_same(value.data, expected.data, cuda)
    if row.kind == "fixed":
        return
    g = np.random.default_rng(1).normal(size=row.shape).astype(np.float32)
    expected.backward(g)
    value.backward(g)
    for x, y in zip(device.parameters(), host.parameters()):
        assert_same(x.grad, y.grad, cuda)


@pytest.mark.parametrize(
    "row", [row for row in encoding_table.ROWS if hasattr(row.make(), "fit")], ids=str
)
@pytest.mark.parametrize("of", ["host", "device"])
def test_every_fit_is_the_same(cuda, row, of):
    target = np.random.default_rng(5).normal(size=row.shape)
    host = row.make(0)
    device = ta.to_device(host, "cuda")
    options = {"steps": 10, "show_progress": False} if isinstance(host, ADTN) else {}
    given = target if of == "host" else cuda.asarray(target)
    assert device.fit(given, **options) == pytest.approx(host.fit(target, **options), rel=1e-4)
    for x, y in zip(device.parameters(), host.parameters()):
        assert_same(x.data, y.data, cuda)
    assert_same(device.decode().data, host.decode().data, cuda)


@pytest.mark.parametrize(("num_sites", "depth"), WALLS)
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_a_brick_wall_is_the_fast_ones(cuda, num_sites, depth, activation):
    """On the device the first layer is a chain, the later ones go gate by gate."""
    host = ADTN((2**num_sites,), depth, activation=activation, rng=num_sites)
    for column in host.columns:
        column.data = column.data.astype(np.float64)
    device = ta.to_device(host, "cuda")
    expected, value = host.contract(), device.contract()
    assert_same(value.data, expected.data, cuda)
    g = np.random.default_rng(1).normal(size=expected.shape)
    expected.backward(g)
    value.backward(g)
    for x, y in zip(device.columns, host.columns):
        assert_same(x.grad, y.grad, cuda)


@pytest.mark.parametrize(
    "options", [{"wiring": "tree"}, {"site_dim": 4}, {"wiring": [((0, 2),), ((1, 0),)]}], ids=str
)
def test_other_walls_go_gate_by_gate(cuda, options):
    host = ADTN((4, 2) if "wiring" in options else (16, 4), 2, **options, rng=0)
    device = ta.to_device(host, "cuda")
    assert_same(device.decode().data, host.decode().data, cuda)
    assert [s.name for s in device.steps()] == [s.name for s in host.steps()]


def test_the_crops_index_goes_up_once(cuda):
    if not hasattr(cuda, "traffic"):
        pytest.skip("CuPy does not count transfers")
    weight = ta.to_device(ADTN((5, 7), 2, rng=0), "cuda")
    cuda.traffic.clear()
    for _ in range(3):
        weight.decode()
    assert cuda.traffic.up.count(5 * 7) == 1 and cuda.traffic.down == []


def test_the_layout_of_one_layer_goes_up_once(cuda):
    if not hasattr(cuda, "traffic"):
        pytest.skip("CuPy does not count transfers")
    weight = ta.to_device(ADTN((9, 7), 1, rng=0), "cuda")
    weight.decode().sum().backward()
    cuda.traffic.clear()
    weight.decode().sum().backward()
    assert max(cuda.traffic.up, default=0) <= 1 and cuda.traffic.down == []


def test_the_target_of_a_fit_goes_up_once(cuda):
    if not hasattr(cuda, "traffic"):
        pytest.skip("CuPy does not count transfers")
    weight = ta.to_device(ADTN((8, 16), 1, order="output_first", rng=0), "cuda")
    assert 8 * 16 not in [gates.data.size for gates in weight.columns]
    cuda.traffic.clear()
    weight.fit(np.ones((8, 16)), steps=3, show_progress=False)
    assert cuda.traffic.up.count(8 * 16) == 1


# --- optimisers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [ta.SGD, ta.Adam])
def test_optimisers_keep_their_memory_beside_the_parameters(cuda, kind):
    options = {"momentum": 0.9} if kind is ta.SGD else {}
    host, device = on_both([np.array([1.0, -3.0], np.float32), np.ones((2, 2), np.float32)])
    both = [kind(p, 0.1, weight_decay=0.1, clip=0.5, **options) for p in (host, device)]

    def steps(optimizer):
        for _ in range(3):
            sum((p * p * 3).sum() for p in optimizer.parameters).backward()
            optimizer.step()
            optimizer.zero_grad()

    for optimizer in both:
        steps(optimizer)
    for x, y in zip(device, host):
        assert_same(x.data, y.data, cuda)
    here, there = both
    for ours, theirs in zip(here.memory, there.memory):
        for a, b in zip(ours, theirs):
            assert_same(b, a, cuda)
    # A state is NumPy's, and goes on on either device.
    state = there.state()
    assert {type(a) for name, a in state.items() if name != "count"} == {np.ndarray}
    again = kind(device, 0.1, weight_decay=0.1, clip=0.5, **options)
    again.load_state(here.state())
    here.load_state(state)
    for optimizer in (here, again):
        steps(optimizer)
    for x, y in zip(device, host):
        assert_same(x.data, y.data, cuda)


def test_a_computed_tensor_is_not_moved(cuda):
    x = ta.Tensor([1.0], requires_grad=True)
    with pytest.raises(GraphError, match="detach"):
        ta.to_device(x * 2, "cuda")
    assert ta.to_device((x * 2).detach(), "cuda").item() == 2
