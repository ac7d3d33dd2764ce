"""The training loop: a generator, so that the caller writes the loop body.

    for step in ta.train(model, data, epochs=5):
        print(step.epoch, step.loss)

It yields after every update. The caller may leave the loop at any step, also with Ctrl-C. With
``out=`` the state is saved then, and ``resume=`` continues the run with bit-for-bit the same
results.
"""

from __future__ import annotations

import math
import os
import time
import traceback
from collections.abc import Generator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, NoReturn

import numpy as np

from ..autodiff.engine import Tensor
from ..autodiff.modes import detect_anomaly, isolated
from ..checks import require_number
from ..data.preprocess import crop_and_flip
from ..data.splits import Data, batches
from ..errors import NonFiniteError, TinyADTNError, explained
from ..nn.module import Module
from ..nn.optim import Optimizer
from ..tables import rounded
from .evaluate import Evaluation, evaluate
from .interrupts import interrupts_held
from .runs import Run, RunState
from .start import started
from .vanish import norms_of_encoded, reject_diverged, reject_vanished, with_overflow

# Separate random streams, so that dropout and augmentation draw independently from one seed.
DROPOUT_STREAM, AUGMENT_STREAM = 1, 2
SAVE_MINUTES = 5.0  # longest time between two checkpoints


@dataclass(frozen=True)
class TrainStep:
    """One update. The last step of an epoch also has its ``mean_loss`` and ``validation``."""

    epoch: int
    step: int
    total: int
    loss: float
    learning_rate: float
    mean_loss: float | None = None
    validation: Evaluation | None = None

    __repr__ = rounded

    def record(self) -> dict[str, Any]:
        """Return the entry of this epoch in the history of a run."""
        return {
            "epoch": self.epoch,
            "loss": self.mean_loss,
            "learning_rate": self.learning_rate,
            "validation_loss": self.validation and self.validation.loss,
            "validation_accuracy": self.validation and self.validation.accuracy,
        }


@explained("; name each option, as epochs=5; load_data((images, labels)) makes data")
def train(
    model: Module,
    data: Data,
    *,
    out: str | os.PathLike[str] | None = None,
    resume: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    save_minutes: float = SAVE_MINUTES,
    **plan: Any,
) -> Generator[TrainStep, None, None]:
    """Minimize the loss of the model on ``data.train``, in place; yield each step.

    This is a generator: without a loop around it nothing is trained.

    Options and defaults are those of ``TrainingPlan``: epochs=10, batch_size=128, optimizer="adam"
    (or "sgd"), learning_rate=1e-3 (the peak learning rate), schedule="one_cycle" (or "cosine",
    "constant"), loss="softmax_cross_entropy", momentum=0.9 (for "sgd"), weight_decay=0, clip=None,
    label_smoothing=0, augment=False (True: apply ``crop_and_flip`` to every batch), drop_last=False
    (True: leave out the last batch of an epoch if it is smaller), seed=0. ``optimizer``,
    ``schedule`` and ``loss`` may also be your own class or function, called with (parameters,
    learning_rate), (peak, steps) and (logits, labels): see docs/extend.md. Such a run is resumed
    with the same ones. The batch order depends only on (seed, epoch), all other draws on
    (seed, step).

    With ``out``, a folder, the state is saved to ``last.npz`` after every epoch, every
    ``save_minutes``, and when the loop is left with ``break`` or Ctrl-C; ``previous.npz`` is the
    state saved before it, ``best.npz`` the one with the best validation accuracy. (If the generator
    has a name, ``break`` saves when it is closed: ``steps.close()``, or the end of the program.)
    A folder that holds an earlier run is rejected unless ``overwrite=True``, and one that another
    process is training in always. Of two runs of one process in a folder, the older raises
    TinyADTNError at its next step. ``resume`` is the path of such a file: model, optimizer and plan
    come from it. A loss or gradient that is not finite raises NonFiniteError before the update; no
    file is overwritten.

    >>> import tinyadtn as ta
    >>> data = ta.load_data("mnist-5k")
    >>> model = ta.models.fc2(rng=0)
    >>> losses = [step.loss for step in train(model, data, epochs=1)]
    >>> len(losses), losses[-1] < losses[0]
    (28, True)
    """
    require_number("save_minutes", save_minutes)
    if not save_minutes >= 0:
        raise ValueError(f"save_minutes must be 0 or more, got {save_minutes}")
    run = started(model, data, plan, out, resume, overwrite)
    return _steps(run, data, save_minutes)


def _steps(run: Run, data: Data, save_minutes: float) -> Generator[TrainStep, None, None]:
    """Loop over epochs and batches, starting at the run's current step; yield each step."""
    plan, state = run.plan, run.state
    per_epoch = plan.steps_per_epoch(len(data.train))
    total = plan.epochs * per_epoch
    learning_rate = plan.schedule_for(total)
    run.saved_at = time.monotonic()
    run.optimizer.zero_grad()
    norms = norms_of_encoded(run.model)
    known = dict(run.model.named_parameters())
    try:
        for epoch in range(len(state.history), plan.epochs):
            done = state.step - epoch * per_epoch  # above 0 if a run resumes inside an epoch
            order = batches(data.train, plan.batch_size, seed=plan.seed, epoch=epoch, skip=done)
            for images, labels in islice(order, per_epoch - done):
                run.require_folder()
                _update(run, images, labels, learning_rate(state.step), epoch)
                if state.step < (epoch + 1) * per_epoch:
                    _save_if_due(run, save_minutes)
                    with run.saved_if_interrupted():
                        yield _last_step(state, epoch, total, learning_rate)
            _require_known_parameters(run.model, known)
            reject_vanished(run.model, norms, f"epoch {epoch + 1}, step {state.step}")
            step = _end_epoch(run, data, _last_step(state, epoch, total, learning_rate))
            with run.saved_if_interrupted():
                yield step
    except (GeneratorExit, KeyboardInterrupt, SystemExit) as left:
        traceback.clear_frames(left.__traceback__)  # an interrupted op holds its arrays
        run.save_if_mine()
        raise
    finally:
        if run.folder is not None:
            run.folder.close()


def _require_known_parameters(model: Module, known: dict[str, Tensor]) -> None:
    """Raise TinyADTNError for a parameter that the optimizer does not have."""
    for name, parameter in model.named_parameters():
        if known.get(name) is not parameter:
            done, advice = "added", "create it in __init__"
            if name in known:
                done, advice = "replaced", "change values with load_arrays, or call train again"
            raise TinyADTNError(
                f"{name}, of shape {parameter.shape}, was {done} during the training, so that the "
                f"optimizer does not train it; {advice}"
            )


def _last_step(state: RunState, epoch: int, total: int, learning_rate: Any) -> TrainStep:
    """Return the step that was done last; a resumed run may have done it before it was resumed."""
    return TrainStep(epoch + 1, state.step, total, state.loss, learning_rate(state.step - 1))


def _update(run: Run, images: Any, labels: Any, learning_rate: float, epoch: int) -> None:
    """Do one step: loss, backward, check, update. A step that fails changes nothing.

    NonFiniteError is raised before the update.
    """
    state, step = run.state, run.state.step + 1
    if run.plan.augment:
        images = crop_and_flip(images, np.random.default_rng((AUGMENT_STREAM, run.plan.seed, step)))
    buffers = [(t, t.data) for _, t in run.model.named_tensors() if not t.requires_grad]
    try:
        with np.errstate(all="ignore"):  # an overflow is detected below, which names its op
            loss = _loss(run, images, labels, step)
            value = loss.item()
            if math.isfinite(value):
                loss.backward()
            if not math.isfinite(value) or not _finite_gradients(run.optimizer):
                where = f"epoch {epoch + 1}, step {step}, learning rate {learning_rate:.3g}"
                _reject_batch(run, images, labels, step, f"{where}: the loss is {value:.6g}")
        with interrupts_held(), np.errstate(all="ignore"):
            run.optimizer.step(learning_rate)
            run.optimizer.zero_grad()
            state.step, state.loss = step, value
            state.loss_sum += value * len(labels)
    except BaseException:
        if state.step < step:
            run.optimizer.zero_grad()
            for buffer, before in buffers:  # running statistics include this batch
                buffer.data = before
        raise


def _loss(run: Run, images: Any, labels: Any, step: int) -> Tensor:
    """Return the loss of a batch. Dropout depends on (seed, step)."""
    rng = np.random.default_rng((DROPOUT_STREAM, run.plan.seed, step))
    return run.plan.loss_function(run.model(images, training=True, rng=rng), labels)


# --- the end of an epoch, and saving -------------------------------------------------------------


def _end_epoch(run: Run, data: Data, step: TrainStep) -> TrainStep:
    """Validate, add the epoch to the history, save; return the step with these results."""
    state = run.state
    where = f"epoch {step.epoch}, step {step.step}, learning rate {step.learning_rate:.3g}"
    with np.errstate(all="ignore"):
        validation = evaluate(run.model, data.validation, loss=run.plan.part("loss"))
    reject_diverged(run.model, where, validation.loss)
    count = len(data.train)
    seen = min(count, run.plan.batch_size * run.plan.steps_per_epoch(count))
    step = replace(step, mean_loss=state.loss_sum / seen, validation=validation)
    improved = validation.accuracy > state.best
    with interrupts_held():
        state.history.append(step.record())
        state.loss_sum = 0.0
        state.best = max(state.best, validation.accuracy)
        run.save(best=improved)
    return step


def _save_if_due(run: Run, save_minutes: float) -> None:
    """Save inside an epoch if the last checkpoint is older than ``save_minutes``."""
    if time.monotonic() - run.saved_at > 60 * save_minutes:
        with interrupts_held():
            run.save()


# --- a loss or gradient that is not finite -------------------------------------------------------


def _finite_gradients(optimizer: Optimizer) -> bool:
    return all(_finite(p.grad) for p in optimizer.parameters if p.grad is not None)


def _finite(array: Any) -> bool:
    """Return whether all entries and the sum of their squares are finite, without a new array."""
    flat = array.reshape(-1)
    return math.isfinite(flat @ flat)


@isolated
def _reject_batch(run: Run, images: Any, labels: Any, step: int, where: str) -> NoReturn:
    """Compute the same batch once more, find the first op that went wrong, raise NonFiniteError."""
    run.optimizer.zero_grad()
    found = "a gradient is too large to be squared"
    try:
        with detect_anomaly():
            _loss(run, images, labels, step).backward()
    except NonFiniteError as error:
        found = str(error)
    raise NonFiniteError(f"{where}; {with_overflow(run.model, found)}")
