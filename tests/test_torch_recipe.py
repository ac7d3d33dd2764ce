"""The guide's page about other programs: its blocks are run as they stand there."""

from pathlib import Path

import numpy as np
import pytest
from docs_pages import blocks
from torch_leg import torch

import tinyadtn as ta

nn = torch.nn
PAGE = Path(__file__).parents[1] / "docs" / "torch.md"


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


def vgg16():
    features, channels = [], 3
    for width in [64, 64, 0, 128, 128, 0, *[256] * 3, 0, *[512] * 3, 0, *[512] * 3, 0]:
        if width:
            features += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
        else:
            features.append(nn.MaxPool2d(2))
    classifier = [nn.Linear(25_088, 16), nn.ReLU(), nn.Dropout(), nn.Linear(16, 8), nn.ReLU()]
    return Network(features, [7, *classifier, nn.Dropout(), nn.Linear(8, 10)])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    return tmp_path


def logits(network, images):
    with torch.no_grad():
        return network.eval()(torch.from_numpy(images)).numpy()


def test_the_page_runs_from_top_to_bottom(folder):
    """A LeNet-5 comes from torch, is compressed, is trained here and there, and goes back."""
    pytest.importorskip("safetensors", reason="pip install safetensors")
    pytest.importorskip("onnx", reason="pip install onnx")
    network, large = lenet5(), vgg16()
    torch.save(network.state_dict(), "lenet5.pt")
    torch.save(large.state_dict(), "vgg16.pt")
    data = ta.load_data("mnist-5k").test
    expected = logits(network, data.images)
    found = {}
    for block in blocks(PAGE, "python"):
        exec(compile(block, str(PAGE), "exec"), found)
        if "ta.train(" in block:
            before, trained = found["model"](data.images).numpy(), found["small"].arrays()
    np.testing.assert_allclose(before, expected, rtol=0, atol=1e-5)

    network.load_state_dict(torch.load("lenet5-compressed.pt"))
    ours = found["small"](data.images).numpy()
    assert any((trained[key] != array).any() for key, array in found["small"].arrays().items())
    for other in (
        logits(network, data.images),
        logits(found["network"], data.images),
        found["again"](data.images).numpy(),
        found["theirs"](data.images).numpy(),
    ):
        np.testing.assert_allclose(other, ours, rtol=0, atol=1e-3)
    assert ta.accuracy(ours, data.labels) > 0.5  # it was trained
    assert (folder / "small.onnx").stat().st_size > 4 * 48_000
    gates = f"{found['small'].fc1.weight.num_parameters} parameters"
    assert gates in PAGE.read_text(encoding="utf-8")
    assert (found["large"].fc3.bias.data == large.classifier[6].bias.detach().numpy()).all()
