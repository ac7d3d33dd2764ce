"""What each encoding refuses: its name, a call, the class of the error, words of the message.

What is wrong with one kind alone (a rank, a bond, a wiring) is tested where that kind is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tinyadtn as ta
from tinyadtn.errors import GraphError, ShapeError, SizeLimitError, TinyADTNError

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
    "Dense": (ta.Dense, (6, 4)),
    "Pruned": (lambda shape, rng=None: ta.Pruned(shape, 0.5, rng=rng), (6, 4)),
    "Quantized": (ta.Quantized, (6, 4)),
    "Update": (ta.Update, (6, 4)),
    "MixT": (
        lambda shape, rng=None: (
            ta.MixT(shape, ((2**10,) * 2,) * 2, 1, rng=rng)
            if shape == (HUGE, HUGE)
            else ta.MixT(shape, ((2, 3), (2, 2)), 1, rng=rng)
        ),
        (6, 4),
    ),
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
    *(
        ("MixT", lambda w=w: ta.MixT((6, 4), ((2, 3), (2, 2)), w), ShapeError, "width from 1 to 2")
        for w in (0, 3, 1.5, "1")
    ),
    ("MixT", lambda: ta.MixT((6, 4), ((2, 3), (2, 3)), 1), ShapeError, "needs 6 and 4"),
    (
        "MixT",
        lambda: ta.MixT((HUGE, HUGE), ((2**10,) * 2,) * 2, 2),
        SizeLimitError,
        "narrower windows",
    ),
    *(
        ("Pruned", lambda d=d: ta.Pruned((6, 4), d), ValueError, "density")
        for d in (0, -0.1, 1.5, float("nan"), "0.5", True)
    ),
    *(
        ("Quantized", lambda b=b: ta.Quantized((6, 4), b), ValueError, "bits must be 2 to 8, or 16")
        for b in (0, 1, 9, 32, 8.0, "8", True)
    ),
    *(
        (kind.__name__, lambda kind=kind: kind((6, 4), of=ta.ADTN((4, 6))), ShapeError, r"\(4, 6\)")
        for kind in (ta.Quantized, ta.Update)
    ),
    ("Update", lambda: ta.Update((6, 4), of="ADTN"), TinyADTNError, "not a depth, an enc"),
    ("Update", lambda: ta.Update((6, 4), of=ta.Linear), TypeError, "Linear takes"),
    ("Quantized", lambda: ta.Quantized((6, 4), of=lambda s, **_: 3), TinyADTNError, "returned int"),
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
