"""The guide's recipe for weights from torch: its blocks are run as they stand there."""

from pathlib import Path

import numpy as np
import pytest
from docs_pages import blocks
from torch_leg import torch

import tinyadtn as ta

nn = torch.nn
PAGE = Path(__file__).parents[1] / "docs" / "torch.md"
THERE_AND_BACK, WITH_BATCH_NORM = blocks(PAGE, "python")


class Network(nn.Module):
    """Built as torchvision builds: features, a pool that changes nothing, a classifier."""

    def __init__(self, features, classifier):
        super().__init__()
        self.features = nn.Sequential(*features)
        self.avgpool = nn.AdaptiveAvgPool2d(classifier.pop(0))
        self.classifier = nn.Sequential(*classifier)

    def forward(self, x):
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


def lenet5():
    features = [nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)]
    features += [nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2)]
    classifier = [nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)]
    return Network(features, [5, *classifier])


def vgg16_bn():
    features, channels = [], 3
    for width in [64, 64, 0, 128, 128, 0, *[256] * 3, 0, *[512] * 3, 0, *[512] * 3, 0]:
        if width:
            features += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
            channels = width
        else:
            features.append(nn.MaxPool2d(2))
    classifier = [nn.Linear(512, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU()]
    return Network(features, [1, *classifier, nn.Dropout(), nn.Linear(4096, 10)])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    return tmp_path


def logits(network, images):
    with torch.no_grad():
        return network.eval()(torch.from_numpy(images)).numpy()


def run(block):
    names = {}
    exec(compile(block, str(PAGE), "exec"), names)
    return names


def test_a_lenet5_comes_from_torch_is_compressed_and_goes_back(folder):
    network = lenet5()
    torch.save(network.state_dict(), folder / "lenet5.pt")
    images = ta.load_data("mnist-5k").test.images
    found = run(THERE_AND_BACK)
    before = found["model"](images).numpy()
    np.testing.assert_allclose(before, logits(network, images), rtol=0, atol=1e-5)

    network.load_state_dict(torch.load(folder / "lenet5-compressed.pt"))
    after = logits(network, images)
    np.testing.assert_allclose(after, found["small"](images).numpy(), rtol=0, atol=1e-3)
    assert ta.accuracy(after, ta.load_data("mnist-5k").test.labels) > 0.5  # it was trained here
    assert f"{found['small'].fc1.weight.num_parameters} parameters" in THERE_AND_BACK


def test_a_vgg16_with_batch_normalisation_comes_from_torch(folder):
    network = vgg16_bn()
    for layer in network.features:
        if isinstance(layer, nn.BatchNorm2d):  # no two of its arrays alike
            nn.init.uniform_(layer.weight, 1, 2)
            nn.init.normal_(layer.bias, 0, 0.1)
            nn.init.normal_(layer.running_mean, 0, 0.1)
            nn.init.uniform_(layer.running_var, 0.2, 0.4)
    torch.save(network.state_dict(), folder / "vgg16_bn.pt")
    images = np.random.default_rng(0).random((3, 3, 32, 32), np.float32)
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    standard = (images - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    expected = logits(network, standard.astype(np.float32))
    ours = run(WITH_BATCH_NORM)["model"](images)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours.data, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    assert np.ptp(expected, axis=0).max() > 1e-2 * np.abs(expected).max()  # the images matter
