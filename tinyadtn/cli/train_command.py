"""The command ``tinyadtn train``: a new run, or one that is resumed."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from ..autodiff.arrays import require_device
from ..compression.checkpoint import load
from ..data.loading import load_data
from ..data.splits import Data
from ..errors import TinyADTNError
from ..nn.devices import placed
from ..studies.parts import is_own, training_part
from ..training.evaluate import evaluate
from ..training.folder import STATES
from ..training.memory import check_memory, training_memory
from ..training.parts import KNOWN
from ..training.plan import TrainingPlan
from ..training.progress_bar import with_progress
from ..training.resume import planned
from ..training.train import train
from .inputs import network_for, own_words
from .outputs import check_free
from .recipes import recipe
from .signals import interruption
from .terminal import as_typed, program, say, say_next, words_of

FEW_STEPS = 100  # of training; a network has hardly left its initialization


def train_model(options: Namespace) -> int:
    """Train a network, dense or with encoded layers; save the state if a signal stops it."""
    require_device(options.device)
    if options.model is None and (
        options.encode or options.widths is not None or not options.resume
    ):
        options.error("name the NETWORK to train; a run of --resume knows it, and its layers")
    plan_options = [field.name for field in fields(TrainingPlan)]
    given = {k: v for k in plan_options if (v := getattr(options, k)) is not None}
    given |= {kind: training_part(given[kind]) for kind in KNOWN if kind in given}
    data, model, plan = (_run_to_resume if options.resume else _new_run)(options, given)
    model = placed(model, options.device)
    # train() checks its arguments when it is called, before anything is printed.
    places = {name: getattr(options, name) for name in ("out", "resume", "overwrite")}
    steps = train(model, data, **places, save_minutes=options.save_minutes, **given)
    per_epoch = plan.steps_per_epoch(len(data.train))
    say(f"{options.model}, {model.num_parameters:,} trainable parameters, on {data}")
    say(f"takes {training_memory(model, data, plan)}")
    say(
        f"{plan.epochs} {'epoch' if plan.epochs == 1 else 'epochs'} of "
        f"{per_epoch:,} steps, peak learning rate "
        f"{plan.learning_rate:g} with {plan.optimizer}; saves in {options.out} every "
        f"{options.save_minutes:g} minutes and after every epoch"
        + (f"; resumes {options.resume}" if options.resume else "")
    )
    if (total := plan.epochs * per_epoch) < FEW_STEPS and not options.resume:
        say(
            f"{total} steps are few to learn from: a smaller --batch-size or more --epochs has more"
        )
    _say_what_validation_lacks(data)
    bar: Any = with_progress(steps, options.model, not options.quiet)
    with interruption() as asked_to_stop:
        for _ in bar:
            if asked_to_stop.is_set():
                bar.close()  # first, or it would be drawn once more below the text
                steps.close()  # saves last.npz
                say(f"stopped and saved; go on with\n  {_to_go_on(options)}")
                return 130
    result = evaluate(model, data.validation, loss=plan.part("loss"))
    say(f"validation accuracy {100 * result.accuracy:.2f} %, loss {result.loss:.4f}")
    # A resumed run that was complete, or never improved, leaves fewer files in a new folder.
    kept = [file for name in ("best.npz", "last.npz") if (file := Path(options.out, name)).exists()]
    names = ", ".join(file.name for file in kept) or "nothing new"
    say(f"in {options.out}: {names} (best is by validation accuracy)")
    say("test it once you are done choosing")
    say_next("evaluate", str([*kept, options.resume][0]), *own_words(options))
    return 0


def _say_what_validation_lacks(data: Data) -> None:
    """Print the classes that no validation image has: best.npz is chosen without them."""
    count = np.bincount(data.validation.labels, minlength=len(data.classes))
    if missing := [name for name, images in zip(data.classes, count) if not images]:
        say(
            f"of the {len(data.validation):,} validation images none is of {', '.join(missing[:5])}"
            f"{', …' if missing[5:] else ''}: the validation accuracy, which chooses best.npz, "
            "says nothing about them"
        )


def _new_run(options: Namespace, given: dict[str, Any]) -> tuple[Data, Any, TrainingPlan]:
    """Return the data, the named network with encoded layers, and the plan; check the memory.

    What the network's own recipe adds to the plan is added to ``given``.
    """
    TrainingPlan(**given)  # a wrong option is found before data are read
    options.out, options.data = options.out or "runs/train", options.data or "mnist-5k"
    last = Path(options.out) / "last.npz"
    check_free(options, *STATES, hint=f", resume it (--resume {last})" if last.exists() else "")
    data = load_data(options.data)
    given |= recipe(options, given, data)
    plan = TrainingPlan(**given)
    check_memory(training_memory(network_for(options, data, None), data, plan))
    return data, network_for(options, data, plan.seed), plan


def _run_to_resume(options: Namespace, given: dict[str, Any]) -> tuple[Data, Any, TrainingPlan]:
    """Return the data, network and plan of a checkpoint, which must be of the named network."""
    own = {kind: given[kind] for kind in KNOWN if callable(given.get(kind))}
    model: Any = None if own_words(options) else _found(options)
    plan, source = planned(options.resume, **own)
    folder = Path(options.resume).parent
    options.out, options.data = options.out or str(folder), options.data or source
    if Path(options.out).resolve() != folder.resolve():
        check_free(options, *STATES)
    data = load_data(options.data)
    if model is None:  # no file describes parts of the user
        model = load(options.resume, into=network_for(options, data, None))
    check_memory(training_memory(model, data, plan))
    return data, model, plan


def _found(options: Namespace) -> Any:
    """Return the network in the file of --resume, which must be the named one."""
    model = load(options.resume)
    found = (model.config or {}).get("model")
    options.model = options.model or found
    if found != options.model:
        raise TinyADTNError(f"{options.resume} holds {found}, not {options.model}; name that one")
    if options.encode or options.widths is not None:
        raise TinyADTNError(
            "a resumed run keeps its layers as they are: leave --encode and --widths out"
        )
    return model


def _to_go_on(options: Namespace) -> str:
    """Return the command that resumes a stopped run; options with default values are omitted."""
    words = [program(), "train", options.model, "--data", options.data, "--out", options.out]
    words += ["--resume", f"{options.out}/last.npz"]
    own = {kind: name for kind in KNOWN if is_own(name := getattr(options, kind))}
    words += [word for kind, name in own.items() for word in (f"--{kind}", name)]
    words += own_words(options)[2:]  # without the network, which is named already
    return as_typed([*words, *words_of(options, "device", "save_minutes")])
