"""Resume a training run from its file, or read what the file says about the run."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from ..compression.checkpoint import take_weights
from ..data.splits import hash_of
from ..errors import CheckpointError
from ..files.state import read_state
from ..nn.module import Module
from .folder import RunFolder
from .parts import KNOWN, name_of
from .plan import TrainingPlan
from .runs import Run, RunState


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
