"""The optimisers and schedules against torch's, over 20 steps, in both precisions.

Where torch means something else by a name, see test_torch_differences; here it is told
what we mean.
"""

import numpy as np
import pytest
from torch_leg import torch

import tinyadtn as ta

STEPS = 20
SHAPES = [(4, 3), (5,), ()]
DECAY, CLIPS = [0.0, 0.3], [None, 0.7]
SGD = [{"momentum": m} for m in (0.0, 0.9)]
ADAM = [{}, {"betas": (0.5, 0.9)}, {"epsilon": 1e-3}]


def gradient(step, k, value):
    """Depends on the parameter and on the step; sizes from 1e-3 to 1."""
    noise = np.random.default_rng([step, k]).normal(size=value.shape)
    return np.asarray(0.3 * value + 10.0 ** -(k + 1) * noise, value.dtype)


def both(make_ours, make_theirs, dtype, clip, decay):
    """Parameters after 20 steps. Decay and clipping are done by hand on torch's side."""
    start = [np.asarray(np.random.default_rng(k).normal(size=s)).astype(dtype)
             for k, s in enumerate(SHAPES)]  # fmt: skip
    ours = [ta.Tensor(v.copy(), requires_grad=True) for v in start]
    theirs = [torch.tensor(v, requires_grad=True) for v in start]
    one, other = make_ours(ours), make_theirs(theirs)
    for step in range(STEPS):
        rate = 0.1 / (1 + step)
        for k, (p, q) in enumerate(zip(ours, theirs)):
            p.grad = gradient(step, k, p.data)
            q.grad = torch.from_numpy(gradient(step, k, q.detach().numpy()))
        if clip is not None:
            norm = torch.nn.utils.get_total_norm([q.grad for q in theirs])
            for q in theirs:
                q.grad *= min(1.0, clip / norm.item())
        one.step(rate)
        with torch.no_grad():
            for q in theirs:
                q *= 1 - rate * decay
        other.param_groups[0]["lr"] = rate
        other.step()
    return [p.data for p in ours], [q.detach().numpy() for q in theirs]


def agree(ours, theirs, dtype):
    for a, b in zip(ours, theirs, strict=True):
        assert a.dtype == b.dtype == dtype
        tolerance = 1e-12 if dtype == np.float64 else 2e-5
        assert np.abs(a - b).max() <= tolerance * max(1.0, np.abs(b).max())


EVERY = pytest.mark.parametrize("dtype", [np.float64, np.float32])


@EVERY
@pytest.mark.parametrize("clip", CLIPS)
@pytest.mark.parametrize("decay", DECAY)
@pytest.mark.parametrize("options", SGD, ids=str)
def test_sgd(options, decay, clip, dtype):
    found = both(
        lambda t: ta.SGD(t, 1.0, weight_decay=decay, clip=clip, **options),
        lambda t: torch.optim.SGD(t, 1.0, **options),
        dtype,
        clip,
        decay,
    )
    agree(*found, dtype)


@EVERY
@pytest.mark.parametrize("clip", CLIPS)
@pytest.mark.parametrize("decay", DECAY)
@pytest.mark.parametrize("options", ADAM, ids=str)
def test_adam(options, decay, clip, dtype):
    theirs = {{"epsilon": "eps"}.get(k, k): v for k, v in options.items()}
    found = both(
        lambda t: ta.Adam(t, 1.0, weight_decay=decay, clip=clip, **options),
        lambda t: torch.optim.Adam(t, 1.0, **theirs),
        dtype,
        clip,
        decay,
    )
    agree(*found, dtype)


@EVERY
def test_adam_with_decay_is_adamw(dtype):
    found = both(
        lambda t: ta.Adam(t, 1.0, weight_decay=0.3),
        lambda t: torch.optim.AdamW(t, 1.0, weight_decay=0.3),
        dtype,
        None,
        0.0,
    )
    agree(*found, dtype)


@pytest.mark.parametrize(("steps", "floor"), [(2, 0.0), (20, 0.1), (33, 0.0)])
def test_cosine(steps, floor):
    """``T_max`` counts the steps from the first to the last: one less than there are."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 2.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps - 1, floor)
    ours = ta.Cosine(peak=2.0, steps=steps, floor=floor)
    for step in range(steps):
        assert ours(step) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12, abs=1e-14)
        optimizer.step()
        schedule.step()
