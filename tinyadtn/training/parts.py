"""The optimizers, schedules and losses of ``train``: known by a name, or written by the user.

An optimizer is made by ``make(parameters, learning_rate)``, with ``weight_decay=`` and ``clip=`` if
``train`` gets them. It has the interface of ``nn.optim.Optimizer``: ``parameters``,
``step(learning_rate)``, ``zero_grad()``, ``state()`` and ``load_state(state)``.

A schedule is made by ``make(peak, steps)``. It maps the number of a step, from 0, to its learning
rate.

A loss is a function of (logits, labels), Tensor and array, that returns a Tensor of one number, the
mean over the batch.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..autodiff.engine import Tensor
from ..checks import require_number
from ..errors import nearest
from ..nn.optim import SGD, Adam
from ..nn.schedules import Cosine, OneCycle
from ..ops.loss import softmax_cross_entropy

OPTIMIZERS: dict[str, Any] = {"adam": Adam, "sgd": SGD}
SCHEDULES: dict[str, Any] = {
    "one_cycle": OneCycle,
    "cosine": Cosine,
    "constant": lambda peak, steps: lambda step: peak,
}
LOSSES: dict[str, Any] = {"softmax_cross_entropy": softmax_cross_entropy}
KNOWN = {"optimizer": OPTIMIZERS, "schedule": SCHEDULES, "loss": LOSSES}
CALLED = {
    "optimizer": ("parameters", "learning_rate"),
    "schedule": ("peak", "steps"),
    "loss": ("logits", "labels"),
}
NEEDED = ("parameters", "step", "zero_grad", "state", "load_state")


def name_of(kind: str, part: Any) -> str:
    """Return the name of an optimizer, schedule or loss, which a checkpoint stores.

    >>> name_of("schedule", OneCycle), name_of("optimizer", "adam"), name_of("schedule", print)
    ('one_cycle', 'adam', 'builtins:print')
    """
    known = KNOWN[kind]
    for name, one in known.items():
        if part is one or (isinstance(part, str) and part == name):
            return name
    if isinstance(part, functools.partial):
        inside = [name_of(kind, part.func), *map(repr, part.args)]
        return f"partial({', '.join([*inside, *(f'{k}={v!r}' for k, v in part.keywords.items())])})"
    if isinstance(part, str) and (":" in part or part.startswith("partial(")):
        raise ValueError(
            f"{kind}={part!r} is your own, and a file holds only its name: give it again with "
            f"{kind}=… (on the command line --{kind} module:name)"
        )
    if not callable(part):
        raise ValueError(
            f"{kind} must be one of {', '.join(known)}, got {part!r:.60}{nearest(part, known)} "
            f"(or a class or function that is called with ({', '.join(CALLED[kind])}); module:name "
            "in a sweep and on the command line)"
        )
    return f"{part.__module__}:{getattr(part, '__qualname__', type(part).__qualname__)}"


def require_signature(kind: str, make: Any, options: dict[str, Any]) -> None:
    """Raise TypeError unless a user's part can be called with its arguments and the options."""
    try:
        inspect.signature(make).bind(*CALLED[kind], **options)
    except TypeError as error:
        call = ", ".join([*CALLED[kind], *(f"{option}=…" for option in options)])
        raise TypeError(
            f"{kind} {name_of(kind, make)} is called with ({call}): {error}"
            + ("; it returns a function of the step" if kind == "schedule" else "")
        ) from None


def optimizer_of(make: Any, parameters: Any, learning_rate: float, options: dict) -> Any:
    """Return a user's optimizer for the parameters; raise if it cannot be trained with or saved."""
    name = name_of("optimizer", make)
    optimizer = make(parameters, learning_rate, **options)
    missing = [attribute for attribute in NEEDED if not hasattr(optimizer, attribute)]
    if missing:
        raise TypeError(
            f"optimizer {name} made a {type(optimizer).__name__} without {', '.join(missing)}; "
            "derive it from tinyadtn.nn.optim.Optimizer"
        )
    state = optimizer.state()
    if not isinstance(state, dict) or not all(_can_be_saved(*item) for item in state.items()):
        raise TypeError(
            f"optimizer {name}: state() must return a dict of arrays by name, got {state!r:.60}"
        )
    optimizer.load_state(state)
    return optimizer


def _can_be_saved(key: Any, value: Any) -> bool:
    return isinstance(key, str) and np.asarray(value).dtype.kind in "fiub"


def schedule_of(make: Any, peak: float, steps: int) -> Callable[[int], float]:
    """Return a schedule as a function of the step; one of the user's is checked at every step."""
    name = name_of("schedule", make)
    if name in SCHEDULES:
        return make(peak, steps)
    schedule = make(peak, steps)
    if not callable(schedule):
        raise TypeError(
            f"schedule {name} must return a function of the step, such as "
            f"lambda step: peak; got {schedule!r:.60}"
        )

    def learning_rate(step: int) -> float:
        rate = schedule(step)
        require_number(f"the learning rate that schedule {name} gives for step {step}", rate)
        if not 0 <= rate < math.inf:
            raise ValueError(f"schedule {name} gives learning rate {rate} for step {step}")
        return float(rate)

    for step in (0, steps // 2, steps - 1):
        learning_rate(step)
    return learning_rate


def loss_of(make: Any, label_smoothing: float = 0.0) -> Callable[[Tensor, Any], Tensor]:
    """Return a loss as a function of (logits, labels); it raises unless the value is one number."""
    make = LOSSES.get(make, make) if isinstance(make, str) else make
    if make is softmax_cross_entropy:
        return lambda logits, labels: make(logits, labels=labels, label_smoothing=label_smoothing)
    name = name_of("loss", make)
    if label_smoothing:
        raise ValueError(
            f"label_smoothing is an option of softmax_cross_entropy: smooth the labels in {name}"
        )

    def loss(logits: Tensor, labels: Any) -> Tensor:
        value = make(logits, labels)
        if not isinstance(value, Tensor) or value.size != 1:
            got = f"shape {value.shape}" if isinstance(value, Tensor) else type(value).__name__
            raise TypeError(
                f"loss {name} must return a Tensor of one number, the mean over the batch, that "
                f"ops of tinyadtn computed from the logits; got {got}"
            )
        return value

    return loss
