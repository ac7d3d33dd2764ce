"""The training loop: a generator, so that the loop body is yours.

    for step in ta.train(model, data, epochs=5):
        print(step.epoch, step.loss)

It yields after every update. Leave the loop whenever you like; with ``out=`` the state is then
saved, and ``resume=`` goes on as if nothing had happened: the same numbers, bit for bit.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from ..autodiff.modes import detect_anomaly
from ..data.preprocess import crop_and_flip
from ..data.splits import Data, batches
from ..errors import NonFiniteError, TinyADTNError
from ..nn.module import Module
from ..ops.loss import softmax_cross_entropy
from ..progress import progress
from .evaluate import Evaluation, evaluate
from .runs import SCHEDULES, Run, RunState, TrainingPlan, resume_run, writable_folder

# They keep draws inside the network, and those for its images, apart from other uses of a seed.
DROPOUT_STREAM, AUGMENT_STREAM = 1, 2
SAVE_MINUTES = 5.0  # at most so long between two checkpoints


@dataclass(frozen=True)
class TrainStep:
    """One update. ``mean_loss`` and ``validation`` of an epoch are there on its last step."""

    epoch: int
    step: int
    total: int
    loss: float
    learning_rate: float
    mean_loss: float | None = None
    validation: Evaluation | None = None

    def record(self) -> dict[str, Any]:
        """An epoch in the history of a run."""
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

    With ``out``, a folder, ``last.npz`` (and ``previous.npz``) hold the state after every epoch,
    every ``save_minutes``, and when the loop is left with ``break``; ``best.npz`` the best
    validation accuracy. ``resume`` names such a file: model, optimiser and plan come from it.
    NonFiniteError before an update whose loss or gradient is not finite; nothing is overwritten.

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
    plan, state = run.plan, run.state
    per_epoch = math.ceil(len(data.train) / plan.batch_size)
    total = plan.epochs * per_epoch
    schedule = SCHEDULES[plan.schedule](plan.learning_rate, total)
    saved_at = time.monotonic()
    run.optimizer.zero_grad()
    for epoch in range(state.step // per_epoch, plan.epochs):
        done = state.step - epoch * per_epoch
        order = batches(data.train, plan.batch_size, seed=plan.seed, epoch=epoch, skip=done)
        for images, labels in order:
            now = _update(run, images, labels, epoch + 1, total, schedule(state.step))
            last_of_epoch = state.step == (epoch + 1) * per_epoch
            if last_of_epoch:
                with np.errstate(all="ignore"):  # save() refuses what is not finite
                    validation = evaluate(run.model, data.validation)
                mean_loss = state.epoch_loss / per_epoch
                now = replace(now, mean_loss=mean_loss, validation=validation)
                improved = validation.accuracy > state.best
                state.history.append(now.record())
                state.epoch_loss = 0.0
                state.best = max(state.best, validation.accuracy)
                run.save(best=improved)
            elif time.monotonic() - saved_at > 60 * save_minutes:
                run.save()
            if last_of_epoch or run.saved_step == state.step:
                saved_at = time.monotonic()
            try:
                yield now
            except GeneratorExit:  # whoever ran the loop left it
                run.save()
                raise


def _update(run: Run, images: Any, labels: Any, epoch: int, total: int, lr: float) -> TrainStep:
    """One step: forward, backward, update. Numbers that would spoil the parameters are refused."""
    step = run.state.step + 1
    if run.plan.augment:
        rng = np.random.default_rng((AUGMENT_STREAM, run.plan.seed, step))
        images = crop_and_flip(images, rng)
    buffers = [(t, t.data) for _, t in run.model.named_tensors() if not t.requires_grad]

    def loss_of_batch() -> Any:
        # Dropout and its like draw from a stream of their own for every step.
        rng = np.random.default_rng((DROPOUT_STREAM, run.plan.seed, step))
        logits = run.model(images, training=True, rng=rng)
        return softmax_cross_entropy(logits, labels=labels)

    with np.errstate(all="ignore"):  # whatever overflows is found below, and named
        loss = loss_of_batch()
        value = loss.item()
        if math.isfinite(value):
            loss.backward()
            gradients = [p.grad for p in run.optimizer.parameters if p.grad is not None]
        if not math.isfinite(value) or not all(map(_finite, gradients)):
            run.optimizer.zero_grad()
            where = f"epoch {epoch}, step {step}, learning rate {lr:.3g}: the loss is {value:.6g}"
            try:
                _name_the_culprit(loss_of_batch, where)
            finally:
                for buffer, before in buffers:  # running statistics have seen the bad numbers
                    buffer.data = before
        run.optimizer.step(lr)
    run.optimizer.zero_grad()
    run.state.step = step
    run.state.epoch_loss += value
    return TrainStep(epoch, step, total, value, lr)


def _finite(gradient: Any) -> bool:
    """Whether all its numbers are finite, and the sum of their squares: read once, nothing made."""
    flat = gradient.reshape(-1)
    return math.isfinite(flat @ flat)


def _name_the_culprit(loss_of_batch: Any, where: str) -> None:
    """Compute the batch again, looking at every op, and raise NonFiniteError with what is found."""
    found = "a gradient is too large to be squared"
    try:
        with detect_anomaly():
            loss_of_batch().backward()
    except NonFiniteError as error:
        found = str(error)
    raise NonFiniteError(f"{where}; {found}. Try a smaller learning rate, or clip=")


# --- watching ------------------------------------------------------------------------------------


def with_progress(steps: Iterator[TrainStep], label: str, show: bool) -> Iterator[TrainStep]:
    """The steps of a run behind a progress bar that tells the loss and the validation accuracy."""
    accuracy = ""

    def note(step: TrainStep) -> str:
        nonlocal accuracy
        if step.validation:
            accuracy = f", validation {100 * step.validation.accuracy:.1f} %"
        return f"loss {step.loss:.3f}{accuracy}"

    first = next(steps, None)
    if first is None:
        return

    def all_steps() -> Iterator[TrainStep]:
        yield first
        yield from steps

    done = first.step - 1  # more than 0 in a resumed run
    yield from progress(
        all_steps(), total=first.total, initial=done, label=label, note=note, show=show
    )
