"""A progress bar around the steps of a training run."""

from __future__ import annotations

from collections.abc import Iterator

from ..progress import progress
from .train import TrainStep


def with_progress(steps: Iterator[TrainStep], label: str, show: bool) -> Iterator[TrainStep]:
    """Yield the steps of a run; show the loss and the validation accuracy in a progress bar."""
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
