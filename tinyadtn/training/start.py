"""The start of a training run, new or resumed: its options, data and folder are checked."""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..data.splits import Data
from ..errors import TinyADTNError, nearest
from ..nn.module import Module, require_model
from .folder import RunFolder, require_free
from .plan import TrainingPlan
from .resume import resume_run
from .runs import Run, RunState


def started(
    model: Module,
    data: Data,
    plan: dict[str, Any],
    out: str | os.PathLike[str] | None,
    resume: str | os.PathLike[str] | None,
    overwrite: bool,
) -> Run:
    """Return the run that ``train`` describes, with the model; nothing is computed yet."""
    require_model("train", model)
    if not isinstance(data, Data):
        raise TypeError(
            f"train needs Data with all splits, got {type(data).__name__}; ta.load_data makes it"
        )
    _require_known(plan)
    if out and not overwrite and not _continues_in(out, resume):
        last = Path(out) / "last.npz"
        hint = f", replace it with overwrite=True, or continue it with resume={str(last)!r}"
        require_free(Path(out), hint=hint)
    folder = None if out is None else RunFolder(out)
    if resume is not None:
        run = resume_run(resume, model, data.identity(), plan, folder)
    else:
        settings = TrainingPlan(**plan)
        optimizer = settings.optimizer_for(model)
        identity = data.identity() if folder else None
        run = Run(model, settings, optimizer, RunState(), identity, folder)
    run.plan.steps_per_epoch(len(data.train))  # ValueError if there is no step
    labels = data.train.labels
    one_class = len(labels) > 1 and (labels == labels[0]).all()
    if one_class and run.plan.loss == "softmax_cross_entropy":
        raise TinyADTNError(
            f"all {len(labels):,} training images have the label {labels[0]}: there is nothing to "
            "tell apart. Take images of several classes; files are often sorted by class"
        )
    if run.plan.augment and data.origin is not None:
        raise TinyADTNError("augment crops and mirrors images; these are features: leave it out")
    return run


def _require_known(plan: dict[str, Any]) -> None:
    """Raise TypeError, with the likely name, for an option that ``train`` does not have."""
    known = [field.name for field in fields(TrainingPlan)]
    for name in plan.keys() - set(known):
        others = "out, resume, overwrite and save_minutes"
        raise TypeError(
            f"train has no option {name!r}{nearest(name, known)} (it takes {', '.join(known)}, "
            f"{others})"
        )


def _continues_in(out: str | os.PathLike[str], resume: str | os.PathLike[str] | None) -> bool:
    """Return whether the file to resume from lies in the folder ``out``."""
    return resume is not None and Path(resume).resolve().parent == Path(out).resolve()
