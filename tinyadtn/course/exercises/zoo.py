"""Functions of one array with their right gradient and a planted bug, for notebook 02.

A VJP takes (x, g), where g is dL/d(function(x)), and returns dL/dx.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

MATRIX = np.random.default_rng(2).normal(size=(6, 6))


@dataclass(frozen=True)
class Specimen:
    """A function, its right VJP, one with a bug, and what is wrong with that."""

    name: str
    function: Callable
    right: Callable
    wrong: Callable
    bug: str


def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


def softmax_vjp(x, g):
    p = softmax(x)
    return p * (g - np.sum(p * g))


def softmax_plain_mean(x, g):
    return softmax(x) * (g - g.mean())


def unit(x):
    return x / np.linalg.norm(x)


def unit_vjp(x, g):
    return (g - unit(x) * np.sum(unit(x) * g)) / np.linalg.norm(x)


BUGS = (
    Specimen(
        "tanh",
        np.tanh,
        lambda x, g: g * (1 - np.tanh(x) ** 2),
        lambda x, g: g * (1 - np.tanh(x)),
        "a square forgotten",
    ),
    Specimen(
        "softmax", softmax, softmax_vjp, softmax_plain_mean, "a plain mean for a weighted one"
    ),
    Specimen(
        "x * x",
        lambda x: x * x,
        lambda x, g: 2 * x * g,
        lambda x, g: x * g,
        "= for +=: one contribution lost",
    ),
    Specimen(
        "A @ x",
        lambda x: MATRIX @ x,
        lambda x, g: MATRIX.T @ g,
        lambda x, g: MATRIX @ g,
        "the matrix not transposed",
    ),
    Specimen(
        "mean",
        lambda x: np.array([x.mean()]),
        lambda x, g: np.full(x.shape, g[0] / x.size),
        lambda x, g: np.full(x.shape, g[0]),
        "1/n forgotten",
    ),
    Specimen(
        "cumsum",
        np.cumsum,
        lambda x, g: np.cumsum(g[::-1])[::-1],
        lambda x, g: np.cumsum(g),
        "summed from the wrong end",
    ),
    Specimen(
        "x / |x|",
        unit,
        unit_vjp,
        lambda x, g: g / np.linalg.norm(x),
        "the norm taken for a constant",
    ),
    Specimen(
        "1e-9 sin x",
        lambda x: 1e-9 * np.sin(x),
        lambda x, g: 1e-9 * g * np.cos(x),
        lambda x, g: -1e-9 * g * np.cos(x),
        "a sign, in something tiny",
    ),
)


def sample(rng):
    """Six numbers that are not near 0, where some functions have a kink."""
    return rng.uniform(0.2, 1.5, size=6) * rng.choice([-1.0, 1.0], size=6)
