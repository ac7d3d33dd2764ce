"""The plan and the state of a training run: checked, saved to a file, and resumed from it."""

from __future__ import annotations

import math
import numbers
import os
import platform
import time
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from ..checks import require_number, require_share
from ..compression.checkpoint import take_weights
from ..data.splits import hash_of
from ..errors import CheckpointError, TinyADTNError
from ..files.state import read_state, write_state
from ..nn.module import Module
from ..nn.optim import Optimizer, require_limits
from ..version import __version__
from .folder import RunFolder
from .interrupts import interrupts_held
from .parts import KNOWN, loss_of, name_of, optimizer_of, require_signature, schedule_of
from .vanish import reject_diverged

# The fields of an epoch in the history.
RECORD = ("epoch", "loss", "learning_rate", "validation_loss", "validation_accuracy")


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
        for name in ("learning_rate", "momentum", "weight_decay", "clip"):
            if not (name == "clip" and self.clip is None):
                require_number(name, getattr(self, name))
                setattr(self, name, float(getattr(self, name)))
        for name in ("epochs", "batch_size", "learning_rate"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be above 0 and finite, got {getattr(self, name)}")
        if self.seed < 0:
            raise ValueError(f"seed must be 0 or more, got {self.seed}")
        for name in ("augment", "drop_last"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} must be True or False, got {getattr(self, name)!r}")
        require_share("label_smoothing", self.label_smoothing)
        self.label_smoothing = float(self.label_smoothing)
        require_limits(momentum=self.momentum, weight_decay=self.weight_decay, clip=self.clip)
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
        own = {"momentum": self.momentum} if self.optimizer == "sgd" else {}
        return make(
            model.parameters(),
            self.learning_rate,
            weight_decay=self.weight_decay,
            clip=self.clip,
            **own,
        )

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


@dataclass
class RunState:
    """The progress of a run. It may come from a file, so impossible values are rejected."""

    step: int = 0
    loss: float = 0.0  # of the last step
    loss_sum: float = 0.0  # over the images of the current epoch
    best: float = -1.0  # the highest validation accuracy so far
    history: list[dict[str, Any]] = field(default_factory=list)  # ``TrainStep.record()`` of each

    def __post_init__(self) -> None:
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

    @property
    def done(self) -> tuple[int, int]:
        """Steps and epochs done; the last step of an epoch is done before its validation."""
        return self.step, len(self.history)

    @classmethod
    def from_file(cls, saved: dict[str, Any], batch_size: int) -> RunState:
        """Return the state in a checkpoint. Older files hold ``epoch_loss``, a sum over batches."""
        if saved.keys() == {"step", "epoch_loss", "best", "history"}:
            saved = dict(saved)
            require_number("epoch_loss", sum_of_batches := saved.pop("epoch_loss"))
            saved["loss_sum"] = batch_size * sum_of_batches
        elif saved.keys() != asdict(cls()).keys():
            raise KeyError(f"state {sorted(saved)}")
        return cls(**saved)


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

    def save_if_mine(self) -> None:
        """Save to the end, unless there is no folder or a newer run of this process owns it."""
        if self.folder is not None and self.folder.mine:
            with interrupts_held():
                self.save()


def resume_run(
    path: str | os.PathLike[str],
    model: Module,
    data: dict[str, Any],
    options: dict[str, Any],
    folder: RunFolder | None,
) -> Run:
    """Return the run in a checkpoint, continued in ``model``, which changes only if all fits."""
    arrays, meta = _read_run(path)
    memory = {
        name.removeprefix("optimizer/"): array
        for name, array in arrays.items()
        if name.startswith("optimizer/")
    }
    try:
        _check_plan(path, meta["plan"], options)
        own = {kind: options[kind] for kind in KNOWN if callable(options.get(kind))}
        plan = TrainingPlan(**{**meta["plan"], **own})
        if meta["data"]["sha256"] != data["sha256"]:
            raise CheckpointError(
                f"{path}: was trained on {describe_data(meta['data'])}, these are "
                f"{describe_data(data)}; give the data that it began with"
            )
        if hash_of(meta["data"], meta["data"]) != hash_of(data, meta["data"]):
            raise CheckpointError(
                f"{path}: its run began with other validation or test images than these of "
                f"{data['name']}; give the data that it began with"
            )
        state = RunState.from_file(meta["training"], plan.batch_size)
        per_epoch = plan.steps_per_epoch(data["images"])
        if not 0 <= state.step - per_epoch * len(state.history) <= per_epoch:
            raise ValueError(f"step {state.step} after {len(state.history)} epochs of {per_epoch}")
        if state.step > plan.epochs * per_epoch:
            raise ValueError(f"step {state.step} of {plan.epochs * per_epoch}")
        before = [(tensor, tensor.data) for _, tensor in model.named_tensors()]
        try:
            take_weights(model, arrays)  # first, because the model may have shapes only
            optimizer = plan.optimizer_for(model)
            optimizer.load_state(memory)
        except BaseException:
            for tensor, data in before:
                tensor.data = data
            raise
    except CheckpointError:
        raise
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path}: not a state of this training run ({error})") from error
    return Run(model, plan, optimizer, state, data, folder, saved=state.done)


def _read_run(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return ``read_state(path)`` if it is the state of a training run; else raise."""
    arrays, meta = read_state(path)
    if meta.get("kind") != "training":
        raise CheckpointError(
            f"{path}: holds weights only, nothing to resume; load it and start a new run"
        )
    return arrays, meta


def describe_data(data: dict[str, Any]) -> str:
    """Return a description of a ``Data.identity()`` for an error message."""
    return f"the {data['images']:,} images of {data['name']} (SHA-256 {data['sha256'][:8]}…)"


def _check_plan(path: Any, plan: dict[str, Any], options: dict[str, Any]) -> None:
    for name, value in options.items():
        value = name_of(name, value) if callable(value) and name in KNOWN else value
        planned = plan.get(name, getattr(TrainingPlan, name))  # older files lack newer options
        if planned != value:
            raise CheckpointError(
                f"{path}: was planned with {name}={planned}, not {value}; a resumed run "
                "keeps its plan (leave the option out), a new plan is a new run"
            )


def planned(path: str | os.PathLike[str], **own: Any) -> tuple[TrainingPlan, str]:
    """Return the plan of the run in a training checkpoint, and the name of its data.

    ``own`` are the user's own parts of the plan, because the file has only their names.
    """
    meta = _read_run(path)[1]
    try:
        plan, name = TrainingPlan(**{**meta["plan"], **own}), meta["data"]["name"]
        if not isinstance(name, str) or "\0" in name:
            raise ValueError(f"data named {name!r}")
        return plan, name
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: holds no training run to go on with ({error})") from error


def data_in(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the ``Data.identity`` of the data that a checkpoint was trained on; {} without any."""
    data = read_state(path)[1].get("data")
    if isinstance(data, dict) and isinstance(name := data.get("name"), str) and "\0" not in name:
        return data
    return {}


def versions() -> dict[str, str]:
    """Return the software versions that a result depends on, to be stored with it."""
    return {
        "tinyadtn": __version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "blas_threads": os.environ.get("OPENBLAS_NUM_THREADS", "as BLAS chooses"),
    }
