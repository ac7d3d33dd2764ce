"""The command ``tinyadtn compress``: the main experiment, and where its files are."""

from __future__ import annotations

import errno
import math
import os
import shutil
from argparse import Namespace
from dataclasses import fields
from pathlib import Path

from ..autodiff.arrays import require_device
from ..compression.report import report
from ..data.loading import load_data
from ..errors import TinyADTNError
from ..studies import experiment, experiment_files
from ..studies.networks import build_for
from ..training.folder import writable_folder
from .inputs import load_finite
from .outputs import check_free
from .terminal import as_typed, program, say, say_next


def compress_model(options: Namespace) -> None:
    """Train, encode, fine-tune and compare: see ``experiment``."""
    require_device(options.device)
    data = load_data(options.data)
    if len(set(options.layers)) < len(options.layers):
        raise TinyADTNError(f"--layers names one twice: {' '.join(options.layers)}")
    dense = load_finite(options.dense) if options.dense else None
    knobs = ("depth", "order", "activation", "start", "wiring", "site_dim")
    given = {f.name: v for f in fields(experiment.Settings) if (v := vars(options).get(f.name))}
    settings = experiment.Settings(
        **{**given, "layers": tuple(options.layers), "dense_from": options.dense},
        encoding={name: getattr(options, name) for name in knobs},
    )
    experiment.check(data, settings, dense)
    options.out = options.out or f"runs/compress-{options.model}"
    pictures = (f"{name}.png" for name in experiment_files.PICTURES)
    check_free(options, *experiment_files.FILES, *pictures)
    folder = writable_folder(options.out)  # before training
    _check_room(folder, 12 * build_for(data, options.model, None).num_parameters)
    say(f"{options.model} on {data}")
    try:
        outcomes = experiment.run_experiment(
            data, settings, trained=dense, show_progress=not options.quiet
        )
    except KeyboardInterrupt:
        say("\nnothing was saved: results are written when all candidates are done")
        raise
    try:
        files = experiment_files.write_all(folder, data, settings, outcomes)  # printing may fail
    finally:  # print also if writing failed
        say(f"\nWhat is stored\n\n{report(outcomes[0].models['fine-tuned'])}")
        say(f"\nWhat it achieves\n\n{experiment.accuracy_table(outcomes)}")
    error = 100 * math.sqrt(0.1 * 0.9 / len(data.test))
    say(f"\nfrozen is the control: random, untrained weights in {', '.join(options.layers)}.")
    say(f"The standard error of 90 % on {len(data.test):,} test images is {error:.1f} points.")
    say(f"\n{folder}/\n  " + "\n  ".join(f"{file:22} {what}" for file, what in files.items()))
    small = f"{folder}/fine-tuned.npz"
    if "digit-*.png" in files:
        asked = as_typed([program(), "predict", f"{folder}/"]) + "digit-*.png"
        say(f"\nNext: {asked} {as_typed(['--model', small])}")
    else:
        say_next("evaluate", small)


def _check_room(folder: Path, size: int) -> None:
    """Raise OSError if the disk has less than ``size`` free bytes, before anything is trained."""
    if shutil.disk_usage(folder).free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
