"""Whole networks against torch: logits, loss, every gradient, and steps of training.

Exactness is asked of float64. Measured over all networks and arrays: 5e-14 of the largest number
for one step forward and back; for five steps of training, in units of the way that an array went,
1e-12, and 1e-10 for Adam behind thirteen normalisations, which is the sum of δ/ε over the steps.
"""

import numpy as np
import pytest
import torch_networks as theirs
from torch_leg import torch
from torch_twins import (
    CASES,
    agreement,
    batch,
    drawn,
    drift,
    ours_backward,
    relative,
    torch_backward,
    twins,
)

import tinyadtn as ta

EVERY_NETWORK = pytest.mark.parametrize("name", CASES)


@EVERY_NETWORK
def test_in_float64_logits_loss_and_all_gradients_are_torchs(name):
    found = agreement(CASES[name], np.float64)
    assert found.logits < 1e-11
    assert found.loss < 1e-11
    assert {k: v for k, v in found.gradients.items() if not v < 1e-11} == {}


@EVERY_NETWORK
def test_in_float32_logits_and_all_gradients_are_near_torchs(name):
    found = agreement(CASES[name], np.float32)
    assert found.clearance > 1e-6, "these images lie on a kink: choose another seed"
    assert found.logits < 1e-3
    assert found.loss < 1e-3
    assert {k: v for k, v in found.norms.items() if not v < 1e-2} == {}


@pytest.mark.parametrize(
    ("name", "optimiser", "tolerance"),
    [
        ("FC-2", "SGD", 1e-10),
        ("FC-2", "Adam", 1e-10),
        ("LeNet-5", "SGD", 1e-10),
        ("LeNet-5", "Adam", 1e-10),
        ("AlexNet", "SGD", 1e-10),
        ("ZFNet", "SGD", 1e-10),
        ("the same, training", "SGD", 1e-10),
        ("the same, training", "Adam, epsilon 1e-4", 1e-8),
    ],
)
def test_five_steps_of_training_lead_to_the_same_place(name, optimiser, tolerance):
    """Parameters, and where there are any, running statistics."""
    losses, arrays = drift(CASES[name], optimiser, steps=5)
    assert max(losses) < tolerance
    assert {k: v for k, v in arrays.items() if not v < tolerance} == {}
    statistics = {k for k in arrays if ".running_" in k}
    assert len(statistics) == (26 if CASES[name].training else 0)


@pytest.mark.parametrize(
    ("name", "optimiser"),
    [
        ("FC-2", "SGD"),
        ("FC-2", "Adam, epsilon 1e-4"),
        ("LeNet-5", "SGD"),
        ("LeNet-5", "Adam, epsilon 1e-4"),
        ("AlexNet", "SGD"),
        ("ZFNet", "SGD"),
    ],
)
def test_in_float32_five_steps_of_training_stay_near(name, optimiser):
    """Adam only where the network is small: its large steps bring the deep ones to kinks."""
    losses, arrays = drift(CASES[name], optimiser, 5, np.float32, order=2)
    assert max(losses) < 1e-3
    assert {k: v for k, v in arrays.items() if not v < 1e-2} == {}


class Mask(torch.nn.Module):
    """Dropout that was drawn elsewhere."""

    def __init__(self, mask):
        super().__init__()
        self.mask = torch.tensor(mask)

    def forward(self, x):
        return x * self.mask


def test_with_the_same_dropout_masks_logits_and_all_gradients_are_torchs():
    case = CASES["VGG-16"]
    model, network = twins(case, np.float64)
    x, labels = batch(case, np.float64)
    stream, ones = np.random.default_rng(7), np.ones((len(x), 4096))
    for name in ("dropout1", "dropout2"):
        layer = getattr(model, name)
        layer.rate = 0.3
        mask = layer(ones, training=True, rng=stream).numpy()
        assert 0.2 < (mask == 0).mean() < 0.4
        drawn_there = torch.nn.functional.dropout(torch.from_numpy(ones), 0.3).numpy()
        np.testing.assert_allclose(np.unique(mask), np.unique(drawn_there), rtol=1e-15)
        setattr(network, name, Mask(mask))
    plain = model(x).numpy()
    logits, _, gradients = ours_backward(model, x, labels, training=True, rng=7)
    torch_logits, _, torch_gradients = torch_backward(network, x, labels)
    assert relative(logits, plain, plain, np.inf) > 1e-2  # dropout did something
    assert relative(logits, torch_logits, torch_logits, np.inf) < 1e-11
    for name, gradient in gradients.items():
        other = torch_gradients[theirs.torch_name(name)]
        assert relative(gradient, other, other, np.inf) < 1e-11, name


@pytest.mark.parametrize(
    ("ours", "other", "options"),
    [
        (ta.models.alexnet, theirs.alexnet, {"groups": 2}),
        (ta.models.zfnet, theirs.zfnet, {}),
        (ta.models.vgg16, theirs.vgg16, {"batch_norm": False}),
    ],
    ids=["AlexNet", "ZFNet", "VGG-16"],
)
def test_in_the_original_geometry_logits_are_torchs(ours, other, options):
    model = ours(1000, 224, **options)
    arrays = drawn(model, np.float32)
    model.load_arrays(arrays)
    network = theirs.with_arrays(lambda: other(original=True, **options), arrays).eval()
    x = np.random.default_rng(1).random((1, 3, 224, 224), np.float32)
    with ta.no_grad(), torch.no_grad():
        logits, torch_logits = model(x).numpy(), network(torch.from_numpy(x)).numpy()
    assert logits.shape == (1, 1000)
    assert relative(logits, torch_logits, torch_logits, np.inf) < 1e-4
