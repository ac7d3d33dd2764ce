"""The command ``tinyadtn compress``: the main experiment, and where its files are."""

from __future__ import annotations

import errno
import math
import os
import shutil
from argparse import Namespace
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..autodiff.arrays import require_device
from ..compression.checkpoint import save_with
from ..compression.report import report
from ..data.loading import load_data
from ..data.splits import Data
from ..errors import TinyADTNError
from ..nn.module import Module
from ..studies import experiment, experiment_files
from ..studies.parts import is_own
from ..training.folder import writable_folder
from .encode_option import by_layer
from .inputs import load_finite, own_words, widths_of
from .outputs import check_free
from .terminal import as_typed, program, say, say_next, words_of

KNOBS = ("depth", "order", "activation", "start", "wiring", "site_dim")


def compress_model(options: Namespace) -> None:
    """Train, encode, fine-tune and compare: see ``experiment``."""
    require_device(options.device)
    data = load_data(options.data)
    dense = load_finite(options.dense) if options.dense else None
    given = {f.name: v for f in fields(experiment.Settings) if (v := vars(options).get(f.name))}
    given["model"] = (
        {"name": options.model, **own} if (own := widths_of(options)) else options.model
    )
    settings = experiment.Settings(
        **{**given, "encode": _encodings(options), "dense_from": options.dense}
    )
    shapes = experiment.check(data, settings, dense)
    options.out = options.out or f"runs/compress-{options.model.replace(':', '-')}"
    check_free(options, *experiment_files.FILES)
    folder = writable_folder(options.out)  # before training
    _check_room(folder, 12 * shapes.num_parameters)
    say(f"{options.model} on {data}")
    models, records = _compare(options, data, settings, dense)
    try:  # printing may fail
        files = [*experiment_files.write_all(folder, data, settings, models, records)]
    finally:  # print also if writing failed
        say(f"\nWhat is stored\n\n{report(models['fine-tuned'])}")
        say(f"\nWhat it achieves\n\n{experiment.accuracy_table(records)}")
    error = 100 * math.sqrt(0.1 * 0.9 / len(data.test))
    say(f"\nfrozen is the control: random, untrained weights in {', '.join(settings.encode)}.")
    say(f"The standard error of 90 % on {len(data.test):,} test images is {error:.1f} points.")
    say(f"\n{folder}/")
    for file in files:
        size = (folder / file).stat().st_size
        say(f"  {file:20}{size:>11,} bytes  {experiment_files.FILES[file]}")
    if files[-1].endswith(".npz"):
        say("  no pictures: pip install matplotlib pillow")
    small = f"{folder}/fine-tuned.npz"
    if "digit-0.png" in files and not own_words(options):
        asked = as_typed([program(), "predict", f"{folder}/"]) + "digit-*.png"
        say(f"\nNext: {asked} {as_typed(['--model', small])}")
    elif options.encode or not is_own(options.model):
        say_next("evaluate", small, *own_words(options))


def _compare(options: Namespace, data: Data, settings: experiment.Settings, dense: Any) -> Any:
    """Do the experiment. Ctrl-C keeps the dense network, if --dense can read it and go on."""
    kept: list[str] = []

    def keep(model: Module) -> None:
        path = f"{options.out}/dense.npz"
        with suppress(OSError):  # on a full disk the experiment still goes on
            save_with(path, model, {"data": data.identity()})
            kept.append(path)

    # --dense is one network for all seeds, and not one of the user's own.
    goes_on = dense is None and options.seeds == 1 and not is_own(options.model)
    try:
        return experiment.run_experiment(
            data,
            settings,
            trained=dense,
            show_progress=not options.quiet,
            keep_dense=keep if goes_on else None,
        )
    except KeyboardInterrupt:
        if kept:
            again = options.defaults.keys() - {"model", "dense", "out", "overwrite"}
            words = ["compress", options.model, "--dense", *kept, "--out", options.out]
            words += ["--overwrite", *words_of(options, *sorted(again))]
            say(f"\nthe dense network was saved; go on with\n  {as_typed([program(), *words])}")
        else:
            say("\nnothing was saved: results are written when all candidates are done")
        raise


def _encodings(options: Namespace) -> dict[str, Any]:
    """Return {layers: encoding}: those of --encode, or else ADTNs with the options for these."""
    given = {name: v for name in (*KNOBS, "layers") if (v := getattr(options, name)) is not None}
    if options.encode:
        if given:
            name = next(iter(given)).replace("_", "-")
            raise TinyADTNError(
                f"--{name} goes without --encode, which names layers and their options: "
                "--encode fc1=ADTN:depth=2,order=interleaved"
            )
        return by_layer(options.encode)
    layers = given.pop("layers", ["fc1", "fc2"])
    if len(set(layers)) < len(layers):
        raise TinyADTNError(f"--layers names one twice: {' '.join(layers)}")
    return {" ".join(layers): {"encoding": "ADTN", "depth": 2, **given}}


def _check_room(folder: Path, size: int) -> None:
    """Raise OSError if the disk has less than ``size`` free bytes, before anything is trained."""
    if shutil.disk_usage(folder).free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
