"""The training loop: a generator, so that the loop body is yours.

    for step in ta.train(model, data, epochs=5):
        print(step.epoch, step.loss)

It yields after every update. The caller may leave the loop at any step. With ``out=`` the state is
then saved, and ``resume=`` continues the run with bit-for-bit the same results.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, NoReturn

import numpy as np

from ..autodiff.arrays import asarray_like
from ..autodiff.engine import Tensor
from ..autodiff.modes import detect_anomaly, no_grad
from ..data.preprocess import crop_and_flip
from ..data.splits import Data, batches
from ..errors import NonFiniteError, TinyADTNError
from ..nn.module import Module
from ..nn.optim import Optimizer
from ..nn.surgery import named_layers
from ..nn.weights import Weight
from ..ops.loss import softmax_cross_entropy
from .evaluate import Evaluation, evaluate
from .runs import SCHEDULES, Run, RunState, TrainingPlan, resume_run, writable_folder

# Streams of random numbers, so that dropout and augmentation do not share draws of one seed.
DROPOUT_STREAM, AUGMENT_STREAM = 1, 2
SAVE_MINUTES = 5.0  # longest time between two checkpoints
VANISHED = 1e-4  # an encoded weight with this share of its initial norm, or less, has vanished
REMEDY = "a smaller learning rate, or clip=1.0, or, for an ADTN, normalized=True, its default"


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

    def record(self) -> dict[str, Any]:
        """Return the entry of this epoch in the history of a run."""
        return {
            "epoch": self.epoch,
            "loss": self.mean_loss,
            "learning_rate": self.learning_rate,
            "validation_loss": self.validation and self.validation.loss,
            "validation_accuracy": self.validation and self.validation.accuracy,
        }


def train(
    model: Module,
    data: Data,
    *,
    out: str | os.PathLike[str] | None = None,
    resume: str | os.PathLike[str] | None = None,
    save_minutes: float = SAVE_MINUTES,
    **plan: Any,
) -> Generator[TrainStep, None, None]:
    """Minimise the softmax cross-entropy of the model on ``data.train``, in place; yield each step.

    Options and defaults are those of ``TrainingPlan``: epochs=10, batch_size=128, optimizer="adam"
    (or "sgd"), learning_rate=1e-3 (the schedule's peak), schedule="one_cycle" (or "cosine",
    "constant"), momentum=0.9 (for "sgd"), weight_decay=0, clip=None, augment=False (True: every
    batch through ``crop_and_flip``), seed=0. Batch order depends on (seed, epoch) alone, all other
    draws on (seed, step).

    With ``out``, a folder, the state is saved to ``last.npz`` after every epoch, every
    ``save_minutes``, and when the loop is left with ``break``; ``previous.npz`` is the state saved
    before it, ``best.npz`` the one with the best validation accuracy. ``resume`` is the path of
    such a file: model, optimiser and plan come from it. A loss or gradient that is not finite
    raises NonFiniteError before the update; no file is overwritten.

    >>> import tinyadtn as ta
    >>> data = ta.load_data("mnist-5k")
    >>> model = ta.models.fc2(rng=0)
    >>> losses = [step.loss for step in train(model, data, epochs=1)]
    >>> len(losses), losses[-1] < losses[0]
    (28, True)
    """
    if not isinstance(data, Data):
        raise TypeError(f"train needs Data with all splits, got {type(data).__name__}")
    known = [field.name for field in fields(TrainingPlan)]
    if not plan.keys() <= set(known):
        raise TypeError(
            f"train takes {', '.join(known)}, out, resume and save_minutes; got {', '.join(plan)}"
        )
    folder = None if out is None else writable_folder(out)
    if resume is not None:
        run = resume_run(resume, model, data.identity(), plan, folder)
    else:
        settings = TrainingPlan(**plan)
        optimizer = settings.optimizer_for(model)
        identity = data.identity() if folder else None
        run = Run(model, settings, optimizer, RunState(), identity, folder)
    if run.plan.augment and data.origin is not None:
        raise TinyADTNError("augment crops and mirrors images; these are features: leave it out")
    return _steps(run, data, save_minutes)


def _steps(run: Run, data: Data, save_minutes: float) -> Generator[TrainStep, None, None]:
    """Loop over epochs and batches, from the step that the run has reached; yield each step."""
    plan, state = run.plan, run.state
    per_epoch = math.ceil(len(data.train) / plan.batch_size)
    total = plan.epochs * per_epoch
    learning_rate = SCHEDULES[plan.schedule](plan.learning_rate, total)
    run.saved_at = time.monotonic()
    run.optimizer.zero_grad()
    norms = _norms_of_encoded(run.model)
    for epoch in range(state.step // per_epoch, plan.epochs):
        done = state.step - epoch * per_epoch  # above 0 where a run resumes inside an epoch
        order = batches(data.train, plan.batch_size, seed=plan.seed, epoch=epoch, skip=done)
        for images, labels in order:
            step = _update(run, images, labels, epoch + 1, total, learning_rate(state.step))
            if state.step == (epoch + 1) * per_epoch:
                _reject_vanished(run.model, norms, f"epoch {epoch + 1}, step {state.step}")
                step = _end_epoch(run, data, step, per_epoch)
            else:
                _save_if_due(run, save_minutes)
            try:
                yield step
            except GeneratorExit:  # the caller left the loop
                run.save()
                raise


def _update(run: Run, images: Any, labels: Any, epoch: int, total: int, lr: float) -> TrainStep:
    """Do one step: loss, backward, check, update. NonFiniteError is raised before the update."""
    step = run.state.step + 1
    if run.plan.augment:
        images = crop_and_flip(images, np.random.default_rng((AUGMENT_STREAM, run.plan.seed, step)))
    buffers = [(t, t.data) for _, t in run.model.named_tensors() if not t.requires_grad]
    loss_of_batch = partial(_loss, run, images, labels, step)
    with np.errstate(all="ignore"):  # an overflow is found below, where its op is named
        loss = loss_of_batch()
        value = loss.item()
        if math.isfinite(value):
            loss.backward()
        if not math.isfinite(value) or not _finite_gradients(run.optimizer):
            where = f"epoch {epoch}, step {step}, learning rate {lr:.3g}: the loss is {value:.6g}"
            _reject_batch(run, loss_of_batch, buffers, where)
        run.optimizer.step(lr)
    run.optimizer.zero_grad()
    run.state.step = step
    run.state.epoch_loss += value
    return TrainStep(epoch, step, total, value, lr)


def _loss(run: Run, images: Any, labels: Any, step: int) -> Tensor:
    """Softmax cross-entropy of a batch. Dropout draws from a stream that (seed, step) decides."""
    rng = np.random.default_rng((DROPOUT_STREAM, run.plan.seed, step))
    logits = run.model(images, training=True, rng=rng)
    return softmax_cross_entropy(logits, labels=labels)


# --- the end of an epoch, and saving -------------------------------------------------------------


def _end_epoch(run: Run, data: Data, step: TrainStep, per_epoch: int) -> TrainStep:
    """Validate, record the epoch in the history, save; return the step with these results."""
    state = run.state
    with np.errstate(all="ignore"):  # save() raises for parameters that are not finite
        validation = evaluate(run.model, data.validation)
    step = replace(step, mean_loss=state.epoch_loss / per_epoch, validation=validation)
    improved = validation.accuracy > state.best
    state.history.append(step.record())
    state.epoch_loss = 0.0
    state.best = max(state.best, validation.accuracy)
    run.save(best=improved)
    return step


def _save_if_due(run: Run, save_minutes: float) -> None:
    """Save inside an epoch if the last checkpoint is older than ``save_minutes``."""
    if time.monotonic() - run.saved_at > 60 * save_minutes:
        run.save()


# --- an encoded weight that vanishes -----------------------------------------------------------


def _norms_of_encoded(model: Module) -> dict[str, float]:
    """The norm of every weight that is trained through an encoding, by the layer's name."""
    weights = {name: layer.weight for name, layer in named_layers(model).items()}
    with no_grad(), np.errstate(all="ignore"):
        return {
            name: _norm(weight)
            for name, weight in weights.items()
            if isinstance(weight, Weight) and weight.parameters()
        }


def _norm(weight: Weight) -> float:
    """‖W‖; of a matrix an estimate by ‖W·x‖ for 8 random x, which need not form W."""
    if len(weight.shape) != 2:
        return float(np.linalg.norm(weight.decode().numpy()))
    like = weight.parameters()[0].data
    x = np.random.default_rng(0).standard_normal((8, weight.shape[1])) / math.sqrt(8)
    images = Tensor(asarray_like(x.astype(like.dtype), like))
    return float(np.linalg.norm(weight.linear(images, None).numpy()))


def _reject_vanished(model: Module, norms: dict[str, float], where: str) -> None:
    """Raise NonFiniteError for a weight that has lost its norm, and with it its gradients."""
    for name, norm in _norms_of_encoded(model).items():
        if norm <= VANISHED * norms[name] and norms[name]:
            raise NonFiniteError(
                f"{where}: the weight of {name} has vanished: its norm was {norms[name]:.3g}, now "
                f"it is {norm:.3g}, and its gradients are too small to bring it back. Start again "
                f"with {REMEDY}"
            )


# --- a loss or gradient that is not finite -------------------------------------------------------


def _finite_gradients(optimizer: Optimizer) -> bool:
    return all(_finite(p.grad) for p in optimizer.parameters if p.grad is not None)


def _finite(gradient: Any) -> bool:
    """Whether all entries and the sum of their squares are finite: one pass, no new array."""
    flat = gradient.reshape(-1)
    return math.isfinite(flat @ flat)


def _reject_batch(
    run: Run,
    loss_of_batch: Callable[[], Tensor],
    buffers: list[tuple[Tensor, Any]],
    where: str,
) -> NoReturn:
    """Find the first bad op, restore the buffers (tensor, values before), raise NonFiniteError."""
    run.optimizer.zero_grad()
    found = "a gradient is too large to be squared"
    try:
        with detect_anomaly():  # the same batch once more, with a check after every op
            loss_of_batch().backward()
    except NonFiniteError as error:
        found = str(error)
    finally:
        for buffer, before in buffers:  # running statistics include the bad batch
            buffer.data = before
    lost = [name for name, norm in _norms_of_encoded(run.model).items() if not math.isfinite(norm)]
    if lost:
        found = f"the weight of {' and '.join(lost)} has overflowed; {found}"
    raise NonFiniteError(
        f"{where}; {found}. Try {REMEDY if lost else 'a smaller learning rate, or clip='}"
    )
