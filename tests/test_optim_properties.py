"""Optimisers under any options, over 20 steps, against the formulas in float64."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinyadtn as ta

STEPS = 20
DECAY = st.sampled_from([0.0, 1e-3, 0.3])
CLIP = st.none() | st.sampled_from([1e-3, 0.5, 1e3])
BETA = st.sampled_from([0.0, 0.5, 0.9, 0.999])


@st.composite
def runs(draw):
    """Shapes, whether each parameter gets a gradient in each step, rates, and a seed."""
    shapes = draw(
        st.lists(hnp.array_shapes(min_dims=0, min_side=0, max_side=4), min_size=1, max_size=3)
    )
    given = draw(
        st.lists(
            st.lists(st.booleans(), min_size=len(shapes), max_size=len(shapes)).filter(any),
            min_size=STEPS,
            max_size=STEPS,
        )
    )
    return shapes, given, draw(st.sampled_from([1e-4, 0.05, 0.5])), draw(st.integers(0, 99))


def follow(run, make, reference, dtype):
    """Parameters after the steps: the optimiser's, and those of the formula in float64."""
    shapes, given, lr, seed = run
    rng = np.random.default_rng(seed)
    start = [np.asarray(rng.normal(size=shape)).astype(dtype) for shape in shapes]
    tensors = [ta.Tensor(value.copy(), requires_grad=True) for value in start]
    values, memory = [value.astype(np.float64) for value in start], {}
    optimizer = make(tensors)
    for step in range(STEPS):
        rate = lr / (1 + step)
        gradients = [np.asarray(rng.normal(size=shape)).astype(dtype) for shape in shapes]
        optimizer.zero_grad()
        for tensor, gradient, there in zip(tensors, gradients, given[step]):
            tensor.grad = gradient.copy() if there else None
        kept = [t.grad.copy() for t in tensors if t.grad is not None]
        optimizer.step(rate)
        for before, t in zip(kept, [t for t in tensors if t.grad is not None]):
            np.testing.assert_array_equal(before, t.grad)  # a step reads gradients, no more
        known = [
            g.astype(np.float64) if there else None for g, there in zip(gradients, given[step])
        ]
        reference(values, known, rate, step + 1, memory)
    return tensors, values


def clipped(gradients, clip):
    norm = math.sqrt(sum(float((g**2).sum()) for g in gradients if g is not None))
    factor = 1.0 if clip is None or norm <= clip else clip / norm
    return [None if g is None else g * factor for g in gradients]


def agree(tensors, values, dtype):
    for tensor, value in zip(tensors, values, strict=True):
        assert tensor.dtype == dtype and tensor.shape == value.shape
        tolerance = 1e-11 if dtype == np.float64 else 1e-4
        scale = 1 + np.abs(value).max(initial=0)
        assert np.abs(tensor.data - value).max(initial=0) <= tolerance * scale


@given(
    run=runs(),
    momentum=st.sampled_from([0.0, 0.5, 0.99]),
    decay=DECAY,
    clip=CLIP,
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_sgd_of_any_options(run, momentum, decay, clip, dtype):
    def reference(values, gradients, lr, step, memory):
        for k, g in enumerate(clipped(gradients, clip)):
            if g is not None:
                memory[k] = momentum * memory.get(k, 0.0) + g
                values[k] = values[k] * (1 - lr * decay) - lr * memory[k]

    tensors, values = follow(
        run,
        lambda t: ta.SGD(t, 1.0, momentum=momentum, weight_decay=decay, clip=clip),
        reference,
        dtype,
    )
    agree(tensors, values, dtype)


@given(
    run=runs(),
    betas=st.tuples(BETA, BETA.filter(bool)),  # v is no mean with β₂ = 0, and cancels in float32
    epsilon=st.sampled_from([1e-8, 1e-3]),
    decay=DECAY,
    clip=CLIP,
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_adam_of_any_options(run, betas, epsilon, decay, clip, dtype):
    def reference(values, gradients, lr, step, memory):
        for k, g in enumerate(clipped(gradients, clip)):
            if g is not None:
                m, v = memory.get(k, (0.0, 0.0))
                m = betas[0] * m + (1 - betas[0]) * g
                v = betas[1] * v + (1 - betas[1]) * g**2
                memory[k] = m, v
                m_hat, v_hat = m / (1 - betas[0] ** step), v / (1 - betas[1] ** step)
                values[k] = values[k] * (1 - lr * decay) - lr * m_hat / (np.sqrt(v_hat) + epsilon)

    tensors, values = follow(
        run,
        lambda t: ta.Adam(t, 1.0, betas=betas, epsilon=epsilon, weight_decay=decay, clip=clip),
        reference,
        dtype,
    )
    agree(tensors, values, dtype)


@given(
    kind=st.sampled_from(["sgd", "adam"]),
    run=runs(),
    stop=st.integers(0, STEPS),
)
def test_a_state_goes_on_bit_for_bit_from_anywhere(kind, run, stop):
    shapes, given, lr, seed = run

    def make(tensors):
        options = {"weight_decay": 0.1, "clip": 1.0}
        if kind == "sgd":
            return ta.SGD(tensors, lr, momentum=0.9, **options)
        return ta.Adam(tensors, lr, **options)

    def advance(optimizer, steps):
        for step in steps:
            rng = np.random.default_rng([seed, step])
            for tensor, there in zip(optimizer.parameters, given[step]):
                gradient = np.asarray(rng.normal(size=tensor.shape)).astype(np.float32)
                tensor.grad = gradient if there else None
            optimizer.step()

    def fresh():
        rng = np.random.default_rng(seed)
        values = [np.asarray(rng.normal(size=shape)).astype(np.float32) for shape in shapes]
        return [ta.Tensor(value, requires_grad=True) for value in values]

    whole, parts = fresh(), fresh()
    advance(make(whole), range(STEPS))
    first = make(parts)
    advance(first, range(stop))
    second = make([ta.Tensor(t.data.copy(), requires_grad=True) for t in parts])
    second.load_state(first.state())
    advance(second, range(stop, STEPS))
    for one, other in zip(whole, second.parameters, strict=True):
        assert one.data.tobytes() == other.data.tobytes()
