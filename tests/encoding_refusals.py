"""What each encoding refuses: its name, a call, the class of the error, words of the message.

What is wrong with one kind alone (a rank, a bond, a wiring) is tested where that kind is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tinyadtn as ta
from tinyadtn.errors import GraphError, ShapeError, SizeLimitError

HUGE = 2**20
MAKERS: dict[str, tuple[Callable[..., Any], tuple[int, ...]]] = {
    "ADTN": (ta.ADTN, (6, 4)),
    "LowRank": (lambda shape, rng=None: ta.LowRank(shape, 1, rng=rng), (6, 4)),
    "TensorTrain": (
        lambda shape, rng=None: (
            ta.TensorTrain(shape, ((shape[0],), (shape[1],)), 1, rng=rng)
            if shape == (HUGE, HUGE)
            else ta.TensorTrain(shape, ((2, 3), (2, 2)), 2, rng=rng)
        ),
        (6, 4),
    ),
    "Tucker": (lambda shape, rng=None: ta.Tucker(shape, 1, rng=rng), (6, 4, 3)),
    "Frozen": (ta.Frozen, (6, 4)),
}


def _cases(name: str) -> list[tuple[str, Callable[[], Any], type, str]]:
    make, good = MAKERS[name]
    lengths = [(0, *good[1:]), (*good[:-1], -4), (6.5, *good[1:])]
    huge = (HUGE, HUGE, *good[2:])
    return [
        *((name, lambda bad=bad: make(bad), ShapeError, r"1 or more, got \(") for bad in lengths),
        (name, lambda: make(6), ShapeError, "got 6"),
        (name, lambda: make("64"), ShapeError, "got '64'"),
        (name, lambda: make(()), ShapeError, r"(got|shape) \(\)"),
        (
            name,
            lambda: make(huge).decode(),
            SizeLimitError,
            "1048576, 1048576.* GiB.* use a smaller",
        ),
        (name, lambda: make(good).decode().numpy(), GraphError, "shapes only"),
        (name, lambda: make(good).load_arrays({}), ShapeError, "missing"),
    ]


_LAYERS = {"fc1": (6, 4), "fc2": (3, 4)}
REFUSED = [
    *(case for name in MAKERS for case in _cases(name)),
    (
        "SharedWeight",
        lambda: ta.SharedWeight(ta.LowRank((7, 4), 1), 0, _LAYERS),
        ShapeError,
        r"fc1, fc2 together have shape \(9, 4\).*\(7, 4\)",
    ),
    (
        "SharedWeight",
        lambda: ta.SharedWeight(ta.LowRank((9, 4), 1), 2, _LAYERS),
        ShapeError,
        "0 … 1, got 2",
    ),
    (
        "SharedWeight",
        lambda: ta.SharedWeight(ta.LowRank((9, 4), 1), -1, _LAYERS),
        ShapeError,
        "got -1",
    ),
    (
        "SharedWeight",
        lambda: ta.SharedWeight(ta.LowRank((9, 4), 1), 0, _LAYERS).decode(),
        GraphError,
        "shapes only",
    ),
]
