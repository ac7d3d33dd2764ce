"""Learning-rate schedules: functions of the step number alone, so a resumed run needs no state.

A loop of ``steps`` steps begins with ``schedule(0)`` and ends with ``schedule(steps - 1)``; these
are the two ends of a schedule. After the last step the learning rate stays constant.
"""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass

from ..checks import require_number


@dataclass(frozen=True)
class OneCycle:
    """Rise to ``peak`` over the first ``warmup`` share of the steps, then fall; both half cosines.

    ``peak`` is the peak learning rate. The first step has peak/25, the last step peak/10,000. If
    the rise or the fall has fewer than eight steps, the peak is moved to the nearest whole step,
    because otherwise no step would be close to it. The first of one or two steps has the peak.
    Source: Smith and Topin, "Super-Convergence", arXiv 1708.07120.

    >>> schedule = OneCycle(peak=1.0, steps=101, warmup=0.3)
    >>> round(schedule(0), 3), schedule(30), round(schedule(100), 4)
    (0.04, 1.0, 0.0001)
    """

    peak: float
    steps: int
    warmup: float = 0.3

    def __post_init__(self) -> None:
        _require_whole(self.steps)
        _require_rate("peak", self.peak)
        require_number("warmup", self.warmup)
        if not 0 <= self.warmup <= 1:
            raise ValueError(f"warmup is a share of the steps, from 0 to 1, got {self.warmup}")

    def __call__(self, step: int) -> float:
        last = max(self.steps - 1, 0)
        step = min(max(step, 0), last)
        turn = self.warmup * last
        if min(turn, last - turn) < 8:
            turn = round(turn)
            if 0 < self.warmup < 1:  # keep a rise and a fall, of one step each
                turn = min(max(turn, 1), max(last - 1, 0))
        if step < turn:
            return _half_cosine(self.peak / 25, self.peak, step / turn)
        return _half_cosine(self.peak, self.peak / 1e4, (step - turn) / ((last - turn) or 1))


@dataclass(frozen=True)
class Cosine:
    """Fall from ``peak`` at the first step to ``floor`` at the last, along half a cosine.

    >>> schedule = Cosine(peak=1.0, steps=101)
    >>> schedule(0), round(schedule(50), 3), schedule(100)
    (1.0, 0.5, 0.0)
    """

    peak: float
    steps: int
    floor: float = 0.0

    def __post_init__(self) -> None:
        _require_whole(self.steps)
        _require_rate("peak", self.peak)
        _require_rate("floor", self.floor)
        if self.floor > self.peak:
            raise ValueError(f"floor must not be above peak={self.peak}, got {self.floor}")

    def __call__(self, step: int) -> float:
        last = max(self.steps - 1, 0)
        return _half_cosine(self.peak, self.floor, min(step, last) / (last or 1))


def _half_cosine(start: float, end: float, progress: float) -> float:
    progress = min(max(progress, 0.0), 1.0)
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2


def _require_whole(steps: int) -> None:
    require_number("steps", steps, numbers.Integral)
    if steps < 0:
        raise ValueError(f"steps must be 0 or more, got {steps}")


def _require_rate(name: str, value: float) -> None:
    require_number(name, value)
    if not 0 <= value < math.inf:
        raise ValueError(f"{name} must be 0 or more and finite, got {value}")
