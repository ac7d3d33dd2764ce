"""A model on a GPU: what is moved, what follows it, and that it learns what it learns on the CPU.

The fixture ``cuda`` is a strict stand-in for CuPy, see ``strict_arrays``.
"""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_gpu_ops import assert_same
from test_train import small_data, values

import tinyadtn as ta
from tinyadtn.autodiff.shape_only import ShapeOnly
from tinyadtn.errors import DeviceError, GraphError, NonFiniteError
from tinyadtn.files.state import read_state
from tinyadtn.nn.devices import placed
from tinyadtn.training.plan import TrainingPlan
from tinyadtn.training.runs import Run, RunState
from tinyadtn.training.train import _update

BATCH = np.random.default_rng(3).random((6, 1, 28, 28), np.float32)


@pytest.fixture(scope="module")
def data():
    return small_data(train=150, validation=40)


def fc2():
    spec = {"fc1": 2, "fc2": ta.LowRank.like(3)}
    return ta.compress(ta.models.fc2(hidden=16, rng=0), spec, rng=1)


def lenet5():
    spec = {"conv2": ta.Tucker.like((4, 3)), ("fc1", "fc2"): 1, "fc3": ta.Frozen.like()}
    return ta.compress(ta.models.lenet5(rng=0), spec, rng=1)


def every_layer():
    """One layer of each kind, on one channel of 28×28 pixels."""
    return ta.Sequential(
        normalize=ta.Normalize(1),
        conv1=ta.Conv2d(1, 6, 5, stride=2, padding=1, rng=0),
        norm1=ta.BatchNorm2d(6),
        relu1=ta.ReLU(),
        pool1=ta.MaxPool2d(3, stride=2, padding=1),
        norm2=ta.LocalResponseNorm(3),
        conv2=ta.Conv2d(6, 4, 3, groups=2, dilation=2, rng=1),
        norm3=ta.LocalContrastNorm(3),
        pool2=ta.AvgPool2d(2, stride=1),
        flatten=ta.Flatten(),
        dropout=ta.Dropout(0.3),
        fc1=ta.Linear(16, 10, rng=2),
    )


MODELS = {f.__name__: f for f in (fc2, lenet5, every_layer)}
every_model = pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)


def assert_all_there(model, cuda):
    for name, tensor in model.named_tensors():
        assert type(tensor.data) is cuda.ndarray, name
        assert tensor.grad is None or type(tensor.grad) is cuda.ndarray, name


def gradients(model, images):
    """The loss of a batch, in training, and the gradients of all parameters."""
    logits = model(images, training=True, rng=3)
    loss = ta.softmax_cross_entropy(logits, labels=np.arange(len(images)))
    loss.backward()
    return loss.item(), {name: p.grad for name, p in model.named_parameters()}


def assert_same_step(host, device, images, cuda):
    loss, expected = gradients(host, images)
    there, found = gradients(device, images)
    assert there == pytest.approx(loss, rel=1e-5)
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        assert_same(gradient, expected[name], cuda)
    assert_all_there(device, cuda)
    for (name, a), b in zip(host.arrays().items(), device.arrays().values()):
        np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-6, err_msg=name)  # running statistics


# --- moving --------------------------------------------------------------------------------------


@every_model
def test_a_model_is_copied_with_all_it_has(cuda, make):
    model = make()
    before = values(model)
    there = ta.to_device(model, "cuda")
    assert_all_there(there, cuda)
    assert values(there) == before
    assert [n for n, _ in there.named_parameters()] == [n for n, _ in model.named_parameters()]
    assert there.config == model.config
    for _, tensor in there.named_tensors():
        tensor.data += 1
    assert values(model) == before
    back = ta.to_device(there, "cpu")
    assert values(back) == values(there)
    assert all(type(t.data) is np.ndarray for _, t in back.named_tensors())


def test_on_the_cpu_it_needs_no_cupy_and_is_a_copy():
    model = fc2()
    twin = ta.to_device(model, "cpu")
    for _, tensor in twin.named_tensors():
        tensor.data += 1
    assert values(twin) != values(model)
    assert placed(model, "cpu") is model


def test_what_layers_share_stays_shared(cuda):
    there = ta.to_device(lenet5(), "cuda")
    assert there.fc1.weight.whole is there.fc2.weight.whole
    assert there.fc1.weight.parameters()[0] is there.fc2.weight.parameters()[0]
    tied = ta.Sequential(fc1=ta.Linear(4, 4, rng=0), fc2=ta.Linear(4, 4, rng=1))
    tied.fc2.weight = tied.fc1.weight
    there = ta.to_device(tied, "cuda")
    assert there.fc2.weight is there.fc1.weight


def test_what_is_frozen_stays_frozen(cuda):
    frozen = ta.freeze(ta.models.fc2(hidden=8, rng=0), "fc1")
    there = ta.to_device(frozen, "cuda")
    assert [name for name, _ in there.named_parameters()] == ["fc2.weight", "fc2.bias"]
    assert_same_step(frozen, there, BATCH, cuda)


def test_a_model_of_shapes_only_stays_one_until_it_is_loaded(cuda):
    there = ta.to_device(ta.models.fc2(), "cuda")
    assert isinstance(there.fc1.weight.data, ShapeOnly)
    with pytest.raises(GraphError, match="shapes only"):
        there(BATCH)
    drawn = ta.models.fc2(rng=0)
    there.load_arrays(drawn.arrays())
    assert_all_there(there, cuda)
    assert values(there) == values(drawn)


def test_arrays_of_either_device_are_loaded_where_the_model_is(cuda):
    there, here = (ta.to_device(ta.Normalize(1), device) for device in ("cuda", "cpu"))
    for model in (there, here):
        model.load_arrays({"mean": [0.5], "std": cuda.asarray(np.array([0.25]))})
        assert model.arrays()["std"].tolist() == [0.25]
    assert_all_there(there, cuda)
    assert type(here.std.data) is np.ndarray


def test_tensors_and_arrays_are_moved_too(cuda):
    x = ta.Tensor([1.0, 2.0], requires_grad=True)
    there = ta.to_device(x, "cuda")
    assert there.requires_grad and type(there.data) is cuda.ndarray
    images = ta.to_device(BATCH, "cuda")
    assert type(images) is cuda.ndarray and ta.to_device(images, "cuda") is images
    np.testing.assert_array_equal(ta.to_device(images, "cpu"), BATCH)


def test_a_device_that_is_not_there_is_refused_in_words(monkeypatch):
    model = ta.models.fc2(hidden=8)
    with pytest.raises(DeviceError, match="'gpu'"):
        ta.to_device(model, "gpu")
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(DeviceError, match=r"cupy-cuda12x"):
        ta.to_device(model, "cuda")


def test_a_tensor_of_the_host_is_not_taken_for_the_models(cuda):
    there = ta.to_device(ta.models.fc2(hidden=8, rng=0), "cuda")
    with pytest.raises(DeviceError, match="meets one on the GPU"):
        there(ta.Tensor(BATCH))


# --- compressing there ---------------------------------------------------------------------------


def test_an_encoding_goes_where_the_weight_was(cuda):
    dense = ta.models.lenet5(rng=0)
    spec = {"conv2": 1, ("fc1", "fc2"): 2, "fc3": ta.LowRank((10, 84), 2, rng=3)}
    here = ta.compress(dense, spec, rng=1)
    there = ta.compress(ta.to_device(dense, "cuda"), spec, rng=1)
    assert_all_there(there, cuda)
    assert values(there) == values(here)
    assert str(ta.report(there)) == str(ta.report(here))
    unmade = ta.decompress(there)
    assert_all_there(unmade, cuda)
    assert_same(unmade.fc1.weight.data, ta.decompress(here).fc1.weight.data, cuda)


@pytest.mark.parametrize("device_of_target", ["cpu", "cuda"])
def test_a_model_is_fitted_to_one_on_either_device(cuda, device_of_target):
    dense, here, there = ta.models.fc2(hidden=16, rng=0), fc2(), ta.to_device(fc2(), "cuda")
    expected = ta.fit(here, dense, steps=5, show_progress=False)
    target = ta.to_device(dense, device_of_target)
    found = ta.fit(there, target, steps=5, show_progress=False)
    for name, errors in found.items():
        assert errors == pytest.approx(expected[name], rel=1e-4)
    assert_all_there(there, cuda)


# --- networks ------------------------------------------------------------------------------------


@every_model
def test_a_step_is_the_same_on_both(cuda, make):
    host = make()
    assert_same_step(host, ta.to_device(host, "cuda"), BATCH, cuda)


@pytest.mark.parametrize("name", ["alexnet", "zfnet", "vgg16"])
def test_a_step_of_the_large_networks_is_the_same_on_both(cuda, name):
    """Two images; the linear layers, which are most of the numbers, encoded.

    In float64: the gradient of a bias before a batch normalisation is rounding and nothing else.
    """
    images = np.random.default_rng(0).random((2, 3, 32, 32))
    host = ta.compress(ta.models.MODELS[name](rng=0), {"fc1": 1, "fc2": ta.LowRank.like(2)}, rng=0)
    for _, tensor in host.named_tensors():
        tensor.data = tensor.data.astype(np.float64)
    assert_same_step(host, ta.to_device(host, "cuda"), images, cuda)


# --- training ------------------------------------------------------------------------------------

PLAN = {"epochs": 1, "batch_size": 50, "clip": 1.0, "weight_decay": 0.01, "learning_rate": 5e-3}


@every_model
def test_an_epoch_is_the_same_on_both(cuda, make, data):
    host = make()
    device = ta.to_device(host, "cuda")
    plan = PLAN | {"augment": make is every_layer}
    expected = [step.loss for step in ta.train(host, data, **plan)]
    assert [step.loss for step in ta.train(device, data, **plan)] == pytest.approx(
        expected, rel=1e-4
    )
    assert_all_there(device, cuda)
    here, there = ta.evaluate(host, data.test), ta.evaluate(device, data.test)
    assert there.loss == pytest.approx(here.loss, rel=1e-3)
    assert there.accuracy == pytest.approx(here.accuracy, abs=0.01)
    probabilities = ta.predict(device, BATCH)
    assert type(probabilities) is np.ndarray
    np.testing.assert_allclose(probabilities, ta.predict(host, BATCH), rtol=0.01, atol=1e-4)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize(("first", "second"), [("cuda", "cuda"), ("cuda", "cpu"), ("cpu", "cuda")])
def test_a_run_goes_on_on_either_device(cuda, data, tmp_path, optimizer, first, second):
    plan = PLAN | {"epochs": 2, "optimizer": optimizer}
    expected = [step.loss for step in ta.train(fc2(), data, **plan)]
    losses = []
    for step in ta.train(ta.to_device(fc2(), first), data, out=tmp_path, **plan):
        losses.append(step.loss)
        if step.step == 4:
            break
    arrays, _ = read_state(tmp_path / "last.npz")
    assert any(name.startswith("optimizer/") for name in arrays)
    model = ta.to_device(fc2(), second)
    losses += [step.loss for step in ta.train(model, data, resume=tmp_path / "last.npz")]
    assert losses == pytest.approx(expected, rel=1e-3)
    loaded = ta.load(tmp_path / "last.npz")  # on the CPU, wherever it was written
    assert all(type(t.data) is np.ndarray for _, t in loaded.named_tensors())


@every_model
def test_a_saved_model_comes_back_to_either_device(cuda, make, tmp_path):
    device = ta.to_device(make(), "cuda")
    ta.save(tmp_path / "model.npz", device)
    for other in (make(), ta.to_device(make(), "cuda")):
        for _, tensor in other.named_tensors():
            tensor.data = tensor.data * 0
        loaded = ta.load(tmp_path / "model.npz", into=other)
        assert loaded is other and values(other) == values(device)
        assert type(other.parameters()[0].data) is type(tensor.data)


def test_a_step_moves_a_batch_up_and_single_numbers_down(cuda, data):
    """Weights, indices and gradients stay where they are."""
    if not hasattr(cuda, "traffic"):
        pytest.skip("CuPy does not count transfers")
    device = ta.to_device(fc2(), "cuda")
    steps = ta.train(device, data, epochs=1, batch_size=50, clip=1.0)
    next(steps)
    cuda.traffic.clear()
    next(steps)
    assert set(cuda.traffic.down) == {1}
    pixels = 50 * 28 * 28
    assert sorted(n for n in cuda.traffic.up if n > 4) == [50, pixels]


def test_a_bad_step_is_refused_and_leaves_what_there_was(cuda, data):
    device = ta.to_device(every_layer(), "cuda")
    plan = TrainingPlan(learning_rate=1e-3)
    run = Run(device, plan, plan.optimizer_for(device), RunState())
    before = values(device)
    images = BATCH.copy()
    images[0, 0, 3, 3] = math.nan
    with pytest.raises(NonFiniteError, match="not finite"):
        _update(run, images, np.arange(6), 1e-3, 0)
    assert values(device) == before
    assert_all_there(device, cuda)


def test_the_bench_says_what_it_misses():
    bench = Path(__file__).parent / "bench" / "bench_gpu.py"
    code = (
        "import runpy, sys; sys.modules['cupy'] = None; sys.path.insert(0, sys.argv[2]); "
        "runpy.run_path(sys.argv[1], run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, bench, bench.parent],
        cwd=bench.parents[2],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        'nothing to measure: device "cuda" needs CuPy: pip install cupy-cuda12x\n'
    )
