"""The plan of a training run: all options that determine it, checked."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass
from typing import Any

from ..checks import require_number, require_share
from ..nn.module import Module
from ..nn.optim import Optimizer
from ..nn.optim_checks import require_limits
from .parts import KNOWN, loss_of, name_of, optimizer_of, require_signature, schedule_of


@dataclass
class TrainingPlan:
    """All options that determine a run; every training checkpoint stores them.

    ``optimizer``, ``schedule`` and ``loss`` are names, or a class or function of the user (see
    ``parts``), of which the plan keeps the name. ``loss_function`` is the training loss as a
    function of (logits, labels).
    """

    epochs: int = 10
    batch_size: int = 128
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    schedule: str = "one_cycle"
    loss: str = "softmax_cross_entropy"  # validation uses it, too
    momentum: float = 0.9  # for sgd
    weight_decay: float = 0.0
    clip: float | None = None
    label_smoothing: float = 0.0  # in training; validation and test have none
    augment: bool = False  # crop and flip the images of every batch at random
    drop_last: bool = False  # leave out the last batch of an epoch if it is smaller
    seed: int = 0

    def __post_init__(self) -> None:
        self._own: dict[str, Any] = {}
        for kind in KNOWN:
            given = getattr(self, kind)
            setattr(self, kind, name := name_of(kind, given))
            if name not in KNOWN[kind]:
                self._own[kind] = given
        for name in ("epochs", "batch_size", "seed"):
            require_number(name, getattr(self, name), numbers.Integral)
            setattr(self, name, int(getattr(self, name)))  # JSON cannot store NumPy's integers
        require_number("learning_rate", self.learning_rate)
        require_limits(momentum=self.momentum, weight_decay=self.weight_decay, clip=self.clip)
        require_share("label_smoothing", self.label_smoothing)
        for name in ("learning_rate", "momentum", "weight_decay", "clip", "label_smoothing"):
            if getattr(self, name) is not None:
                setattr(self, name, float(getattr(self, name)))
        for name in ("epochs", "batch_size", "learning_rate"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be above 0 and finite, got {getattr(self, name)}")
        if self.seed < 0:
            raise ValueError(f"seed must be 0 or more, got {self.seed}")
        for name in ("augment", "drop_last"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} must be True or False, got {getattr(self, name)!r}")
        for kind, make in self._own.items():
            require_signature(kind, make, self._limits if kind == "optimizer" else {})
        self.loss_function = loss_of(self.part("loss"), self.label_smoothing)

    @property
    def _limits(self) -> dict[str, float]:
        """The options for an optimizer of the user: only those that are given."""
        given = {"weight_decay": self.weight_decay, "clip": self.clip}
        return {name: value for name, value in given.items() if value}

    def part(self, kind: str) -> Any:
        """Return the class or function of the "optimizer", the "schedule" or the "loss"."""
        return self._own.get(kind) or KNOWN[kind][getattr(self, kind)]

    def optimizer_for(self, model: Module) -> Optimizer:
        """Return a new optimizer for the model's parameters."""
        make = self.part("optimizer")
        if "optimizer" in self._own:
            return optimizer_of(make, model.parameters(), self.learning_rate, self._limits)
        options: dict[str, Any] = {"weight_decay": self.weight_decay, "clip": self.clip}
        if self.optimizer == "sgd":
            options["momentum"] = self.momentum
        return make(model.parameters(), self.learning_rate, **options)

    def steps_per_epoch(self, images: int) -> int:
        """Return the number of batches of so many images; ValueError if ``drop_last`` leaves none.

        >>> TrainingPlan(batch_size=128).steps_per_epoch(300)
        3
        >>> TrainingPlan(batch_size=128, drop_last=True).steps_per_epoch(300)
        2
        """
        if self.drop_last and images < self.batch_size:
            raise ValueError(
                f"drop_last leaves nothing to train on: {images} images are less than one batch of "
                f"{self.batch_size}; use a smaller batch_size"
            )
        return images // self.batch_size if self.drop_last else -(-images // self.batch_size)

    def schedule_for(self, steps: int) -> Any:
        """Return the learning rate as a function of the step, for a run of that many steps."""
        return schedule_of(self.part("schedule"), self.learning_rate, steps)
