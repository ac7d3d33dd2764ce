"""A training run and its state, which it saves to files."""

from __future__ import annotations

import math
import numbers
import os
import platform
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from ..checks import require_number
from ..errors import TinyADTNError
from ..files.state import write_state
from ..nn.module import Module
from ..nn.optim import Optimizer
from ..version import __version__
from .folder import RunFolder
from .interrupts import interrupts_held, saved_if_interrupted
from .plan import TrainingPlan
from .vanish import reject_diverged

# The fields of an epoch in the history.
RECORD = ("epoch", "loss", "learning_rate", "validation_loss", "validation_accuracy")


@dataclass
class RunState:
    """The progress of a run."""

    step: int = 0
    loss: float = 0.0  # of the last step
    loss_sum: float = 0.0  # over the images of the current epoch
    best: float = -1.0  # the highest validation accuracy so far
    history: list[dict[str, Any]] = field(default_factory=list)  # ``TrainStep.record()`` of each

    @property
    def done(self) -> tuple[int, int]:
        """Steps and epochs done; the last step of an epoch is done before its validation."""
        return self.step, len(self.history)

    @classmethod
    def from_file(cls, saved: dict[str, Any], batch_size: int) -> RunState:
        """Return the state in a checkpoint; ValueError for impossible values.

        Older files hold ``epoch_loss``, a sum over batches.
        """
        if saved.keys() == {"step", "epoch_loss", "best", "history"}:
            saved = dict(saved)
            require_number("epoch_loss", sum_of_batches := saved.pop("epoch_loss"))
            saved["loss_sum"] = batch_size * sum_of_batches
        elif saved.keys() != asdict(cls()).keys():
            raise KeyError(f"state {sorted(saved)}")
        return cls(**saved)._checked()

    def _checked(self) -> RunState:
        """Return the state, if a run can have these values."""
        require_number("step", self.step, numbers.Integral)
        for name in ("loss", "loss_sum"):
            require_number(name, value := getattr(self, name))
            if not -math.inf < value < math.inf:
                raise ValueError(f"{name} must be finite, got {value}")
        require_number("best", self.best)
        if self.step < 0:
            raise ValueError(f"step must be 0 or more, got {self.step}")
        if self.best != -1 and not 0 <= self.best <= 1:
            raise ValueError(f"best must be a share from 0 to 1, or -1 for none, got {self.best}")
        if not isinstance(self.history, list):
            raise ValueError(f"history must be a list, got {type(self.history).__name__}")
        for entry in self.history:
            if not isinstance(entry, dict) or entry.keys() != set(RECORD):
                raise ValueError(f"each epoch in history must have {', '.join(RECORD)}")
            for name, value in entry.items():
                require_number(f"history: {name}", value)
        return self


@dataclass
class Run:
    """A model in training, with everything that its checkpoint contains."""

    model: Module
    plan: TrainingPlan
    optimizer: Optimizer
    state: RunState
    data: dict[str, Any] | None = None  # ``Data.identity``; a run cannot continue on other data
    folder: RunFolder | None = None
    saved: tuple[int, int] = (0, 0)  # steps and epochs done at the last save
    saved_at: float = 0.0  # ``time.monotonic()`` of the last save, or of the first step

    def save(self, *, best: bool = False) -> None:
        """Write ``last.npz`` (the old one becomes ``previous.npz``), or also ``best.npz``."""
        if self.folder is None:
            return
        self.require_folder()
        folder = self.folder.path
        kept = f"nothing was saved, {folder / 'last.npz'} is from before"
        reject_diverged(self.model, f"after step {self.state.step} ({kept})")
        arrays = self.model.arrays()
        arrays |= {f"optimizer/{k}": np.asarray(v) for k, v in self.optimizer.state().items()}
        meta = {
            "kind": "training",
            "config": self.model.config,
            "plan": asdict(self.plan),
            "data": self.data,
            "training": asdict(self.state),
            "versions": versions(),
        }
        # ``best`` is written first. A run that is killed between the two files resumes before the
        # end of this epoch and writes ``best`` again. In the other order ``best`` would be missing.
        if best:
            write_state(folder / "best.npz", arrays, meta)
        if self.saved != self.state.done:
            write_state(folder / "last.npz", arrays, meta, keep=folder / "previous.npz")
            self.saved = self.state.done
        self.saved_at = time.monotonic()

    def require_folder(self) -> None:
        """Raise TinyADTNError if a newer run of this process has taken the folder."""
        if self.folder is not None and not self.folder.mine:
            raise TinyADTNError(
                f"{self.folder.path}: a newer training run of this process has taken this folder; "
                "name a folder of its own for each run"
            )

    def saved_if_interrupted(self) -> AbstractContextManager[None]:
        """Save if a signal interrupts the block; see ``interrupts``."""
        return nullcontext() if self.folder is None else saved_if_interrupted(self.save_if_mine)

    def save_if_mine(self) -> None:
        """Save to the end, unless there is no folder or a newer run of this process owns it."""
        if self.folder is not None and self.folder.mine:
            with interrupts_held():
                self.save()


def versions() -> dict[str, str]:
    """Return the software versions that a result depends on, to be stored with it."""
    return {
        "tinyadtn": __version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "blas_threads": os.environ.get("OPENBLAS_NUM_THREADS", "as BLAS chooses"),
    }
