"""A model in torch computes the same values and gradients, and its values come back."""

import copy
import io
import itertools
import sys

import encoding_table
import numpy as np
import pytest
import torch_twins
from torch_leg import torch

import tinyadtn as ta
from tinyadtn.errors import SizeLimitError, TinyADTNError
from tinyadtn.exchange.torch_weights import decoder

LENET = {
    "conv2": ta.Tucker.like((4, 3)),
    "fc1": ta.ADTN.like(2, wiring="butterfly", order="output_first", activation="tanh"),
    "fc2": ta.LowRank.like(5),
    "fc3": ta.TensorTrain.like(((2, 5), (7, 12)), 6),
}
CASES = {
    "FC-2": (ta.models.fc2, {}, {}, (1, 28, 28)),
    "FC-2, normalized": (ta.models.fc2, {}, {"fc*": 2}, (1, 28, 28)),
    "FC-2, plain": (ta.models.fc2, {}, {"fc1": ta.ADTN.like(2, normalized=False)}, (1, 28, 28)),
    "LeNet-5": (ta.models.lenet5, {}, LENET, (1, 28, 28)),
    "AlexNet": (ta.models.alexnet, {"widths": (8,), "groups": 2}, {"conv3": 1}, (3, 32, 32)),
    "ZFNet": (ta.models.zfnet, {"widths": (8,)}, {"fc1": 1}, (3, 32, 32)),
    "VGG-16": (
        ta.models.vgg16,
        {"widths": (64, 48)},
        {("conv1_2", "conv2_1"): 1, ("fc1", "fc2"): 2},  # parts of a tensor and of a vector
        (3, 32, 32),
    ),
}


def network(name, dtype, seed=0):
    """A network of ours with values from a seed; dropout, which is random, does nothing."""
    make, options, spec, shape = CASES[name]
    model = make(**options)
    model.load_arrays(torch_twins.drawn(model, dtype, seed))
    for _, layer in model.layers():
        if isinstance(layer, ta.Dropout):
            layer.rate = 0.0
    images = np.random.default_rng(seed).random((3, *shape)).astype(dtype)
    return (ta.compress(model, spec, rng=seed) if spec else model), images


@pytest.mark.parametrize("name", CASES)
def test_values_gradients_and_running_statistics_are_the_same(name):
    model, images = network(name, np.float64)
    twin = ta.to_torch(model)
    labels = np.array([1, 7, 3])
    logits = model(images, training=True, rng=0)
    ta.softmax_cross_entropy(logits, labels=labels).backward()
    theirs = twin.train()(torch.tensor(images))
    torch.nn.functional.cross_entropy(theirs, torch.tensor(labels)).backward()
    expected = logits.numpy()
    np.testing.assert_allclose(
        theirs.detach().numpy(), expected, rtol=0, atol=1e-9 * abs(expected).max()
    )
    gradients = {n: p.grad.numpy() for n, p in twin.named_parameters() if p.requires_grad}
    ours = dict(model.named_parameters())
    assert gradients.keys() == ours.keys()
    largest = max(abs(tensor.grad).max() for tensor in ours.values())
    for key, tensor in ours.items():
        # The gradient of a bias before a batch normalization is 0: what is left is rounding.
        size = max(abs(tensor.grad).max(), 1e-3 * largest)
        np.testing.assert_allclose(
            gradients[key], tensor.grad, rtol=0, atol=1e-8 * size, err_msg=key
        )
    state = twin.state_dict()
    for key, tensor in model.named_tensors():
        np.testing.assert_allclose(state[key].numpy(), tensor.numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_trained_in_torch_and_back(name):
    model, images = network(name, np.float32)
    before = model(images).numpy()
    twin = ta.to_torch(model).train()
    optimizer = torch.optim.SGD([p for p in twin.parameters() if p.requires_grad], lr=1e-3)
    loss = torch.nn.functional.cross_entropy(twin(torch.tensor(images)), torch.tensor([1, 7, 3]))
    loss.backward()
    optimizer.step()
    other, _ = network(name, np.float32, seed=1)
    ta.load_from_torch(other, twin)
    state = twin.state_dict()
    assert all(np.array_equal(state[key].numpy(), a) for key, a in other.arrays().items())
    after, theirs = other(images).numpy(), twin.eval()(torch.tensor(images)).detach().numpy()
    np.testing.assert_allclose(after, theirs, rtol=0, atol=1e-4 * abs(after).max())
    assert abs(after - before).max() > 1e-5 * abs(before).max()


@pytest.mark.parametrize("row", encoding_table.ROWS, ids=str)
def test_every_encoding_has_its_counterpart(row):
    weight = row.make(rng=1)
    rng = np.random.default_rng(0)
    for _, tensor in weight.named_parameters():  # the gain of an Update is 0 at first
        tensor.data = tensor.data + rng.normal(0, 0.1, tensor.shape).astype(tensor.dtype)
    twin = decoder(weight, {})
    ours, theirs = weight.decode(), twin()
    size = abs(ours.numpy()).max()
    np.testing.assert_allclose(theirs.detach().numpy(), ours.numpy(), rtol=0, atol=1e-6 * size)
    g = rng.normal(size=weight.shape).astype(np.float32)
    if weight.parameters():
        ours.backward(g)
        theirs.backward(torch.tensor(g))
    parameters = {n: p for n, p in twin.named_parameters() if p.requires_grad}
    assert parameters.keys() == dict(weight.named_parameters()).keys()
    for key, tensor in weight.named_parameters():
        found, atol = parameters[key].grad.numpy(), 1e-5 * abs(tensor.grad).max()
        np.testing.assert_allclose(found, tensor.grad, rtol=0, atol=atol, err_msg=key)
    arrays = {n: t.numpy() for n, t in twin.state_dict().items()}
    weight.load_arrays({n: arrays[n] for n, _ in weight.named_tensors()})


WINDOWS = {
    "same": ta.Conv2d(4, 6, 4, padding="same", stride=2, rng=0),
    "one side": ta.Conv2d(4, 6, (2, 3), padding=((1, 0), (0, 2)), rng=0),
    "groups": ta.Conv2d(4, 6, 3, groups=2, dilation=2, padding=1, bias=False, rng=0),
    "max": ta.MaxPool2d(3, stride=2, padding=1),
    "max, ceil": ta.MaxPool2d(3, stride=2, ceil_mode=True),
    "max, dilated": ta.MaxPool2d(2, stride=2, dilation=3),
    "max, one side": ta.MaxPool2d(3, stride=2, padding=((0, 1), (1, 0)), ceil_mode=True),
    "mean": ta.AvgPool2d((2, 3), stride=2, padding=(1, 0)),
    "mean, ceil": ta.AvgPool2d(3, stride=2, padding=1, ceil_mode=True),
    "mean, one side": ta.AvgPool2d(3, stride=2, padding=((0, 1), (1, 0)), ceil_mode=True),
}


@pytest.mark.parametrize("name", WINDOWS)
def test_windows(name):
    layer = WINDOWS[name]
    images = np.random.default_rng(0).normal(size=(2, 4, 12, 10)).astype(np.float32) - 3
    found = ta.to_torch(ta.Sequential(layer=layer))(torch.tensor(images)).detach().numpy()
    np.testing.assert_allclose(found, layer(images).numpy(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", [ta.MaxPool2d, ta.AvgPool2d])
def test_pools_of_any_options(kind):
    paddings = (0, 1, ((0, 1), (1, 0)), ((1, 0), (0, 1)))
    sizes = ((5, 6), (7, 4), (8, 9))
    for kernel, stride, padding, ceil_mode, size in itertools.product(
        (2, 3), (1, 2, 3, 4), paddings, (False, True), sizes
    ):
        layer = kind(kernel, stride=stride, padding=padding, ceil_mode=ceil_mode)
        images = np.random.default_rng(0).random((1, 2, *size), np.float32) - 2
        found = ta.to_torch(ta.Sequential(layer=layer))(torch.tensor(images)).numpy()
        np.testing.assert_allclose(found, layer(images).numpy(), rtol=0, atol=1e-5)


def test_what_is_frozen_here_is_not_trained_there():
    model = ta.freeze(ta.compress(ta.models.fc2(rng=0), {"fc1": 1}, rng=0), "fc1", "*.bias")
    twin = ta.to_torch(model)
    trained = {name for name, p in twin.named_parameters() if p.requires_grad}
    assert trained == {"fc2.weight"}
    assert dict(model.named_tensors()).keys() == twin.state_dict().keys()


def test_the_module_shares_no_memory_and_can_be_copied_and_saved():
    model, images = network("LeNet-5", np.float32)
    before, twin = model.arrays(), ta.to_torch(model)
    expected = twin(torch.tensor(images))
    file = io.BytesIO()
    torch.save(twin, file)
    file.seek(0)
    for other in (copy.deepcopy(twin), torch.load(file, weights_only=False)):
        assert torch.equal(other(torch.tensor(images)), expected)
    with torch.no_grad():
        for tensor in twin.state_dict().values():
            tensor += 1
    assert all(np.array_equal(before[key], array) for key, array in model.arrays().items())


class Own(ta.Module):
    def forward(self, x, *, training, rng):
        return x


class OwnWeight(ta.LowRank):
    def decode(self):
        return super().decode() * 2


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (ta.Sequential(one=Own()), "Own has no counterpart"),
        (
            ta.compress(ta.models.fc2(rng=0), {"fc1": OwnWeight((256, 784), 2, rng=0)}, rng=0),
            "OwnWeight has no counterpart in torch; decode it first",
        ),
        (ta.Sequential(half=ta.ReLU()), "another use for the name 'half'"),
        (ta.Sequential(one=ta.AvgPool2d(2, dilation=2)), "no avg_pool2d with dilation"),
        (ta.models.fc2(), "has shapes only"),
    ],
)
def test_what_torch_cannot_hold(model, words):
    with pytest.raises(TinyADTNError, match=words):
        ta.to_torch(model)


def test_a_weight_that_would_not_fit_into_memory():
    layer = ta.Linear(2**20, 2**20, bias=False)
    layer.weight = ta.LowRank((2**20, 2**20), 1, rng=0)
    with pytest.raises(
        SizeLimitError, match=r"a weight of shape \(1048576, 1048576\), which torch"
    ):
        ta.to_torch(ta.Sequential(fc=layer))


def test_without_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(TinyADTNError, match="pip install torch"):
        ta.to_torch(ta.models.fc2(rng=0))


class Theirs(torch.nn.Module):
    """A usual CNN: no bias before the batch normalization, and one tied pair of layers."""

    def __init__(self):
        super().__init__()
        self.features = torch.nn.Sequential(
            torch.nn.Conv2d(3, 4, 3, padding=1, bias=False), torch.nn.BatchNorm2d(4)
        )
        self.first, self.second = torch.nn.Linear(64, 64), torch.nn.Linear(64, 64)
        self.second.weight = self.first.weight
        self.head = torch.nn.Linear(64, 3)

    def forward(self, x):
        x = torch.relu(self.features(x)).flatten(1)
        return self.head(self.second(self.first(x)))


def test_dense_values_go_back_into_the_torch_network_that_they_came_from():
    torch.manual_seed(0)
    theirs, images = Theirs(), torch.randn(5, 3, 4, 4)
    theirs.train()(images)  # running statistics that are not 0 and 1
    ours = ta.Sequential(
        normalize=ta.Normalize(3),
        conv=ta.Conv2d(3, 4, 3, padding=1, bias=False),
        bn=ta.BatchNorm2d(4),
        relu=ta.ReLU(),
        flatten=ta.Flatten(),
        fc1=ta.Linear(64, 64, rng=0),
        fc2=ta.Linear(64, 64, rng=0),
        fc3=ta.Linear(64, 3),
    )
    ours.fc2.weight = ours.fc1.weight
    names = {"conv": "features.0", "bn": "features.1", "fc1": "first", "fc2": "second"}
    names["fc3"] = "head"
    ta.load_from_torch(ours, theirs, names=names)
    state = ta.to_torch_state(ours, names=names)
    for name, tensor in theirs.state_dict().items():
        assert name.endswith("num_batches_tracked") or torch.equal(tensor, state[name])
    small = ta.compress(ours, {"fc3": 1}, rng=0)
    theirs.load_state_dict(ta.to_torch_state(small, names=names))  # strict: all names
    found = theirs.eval()(images).detach().numpy()
    np.testing.assert_allclose(found, small(images.numpy()).data, rtol=1e-4, atol=1e-5)


def test_a_shared_batch_normalization_goes_to_torch_and_back():
    norm = ta.BatchNorm2d(2)
    model = ta.Sequential(norm1=norm, relu=ta.ReLU(), norm2=norm)
    norm.load_arrays({**norm.arrays(), "scale": np.array([2.0, 3.0])})
    state = ta.to_torch_state(model, names={"norm2": "second"})
    assert {"norm1.weight", "second.weight", "second.running_var"} <= state.keys()
    again = ta.Sequential(norm1=(twin := ta.BatchNorm2d(2)), relu=ta.ReLU(), norm2=twin)
    ta.load_from_torch(again, state, names={"norm2": "second"})
    np.testing.assert_array_equal(twin.scale.data, [2, 3])


def test_a_wrong_name_of_a_layer_is_reported():
    with pytest.raises(TinyADTNError, match=r"no layer 'fc11'; did you mean fc1\?"):
        ta.to_torch_state(ta.models.fc2(rng=0), names={"fc11": "0"})
