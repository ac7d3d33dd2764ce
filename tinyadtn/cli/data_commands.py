"""The commands ``tinyadtn data``: list, get, show and import data sets."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from ..data.catalogue import available, download
from ..data.loading import load_data
from ..data.saved_data import require_ending, save_data
from ..data.splits import Data
from ..tables import format_table
from ..training.folder import writable_folder
from .outputs import check_new, size_of
from .terminal import say, say_next


def list_data(options: Namespace) -> None:
    """Print the known data sets and where they are."""
    rows = []  # three short lines each, because one would be longer than a terminal is wide
    for name, what, where in available():
        first, *others = *what.split(": "), where
        rows += [[name, first], *(["", line] for line in others)]
    say(format_table(rows, left=2))
    say_next("data", "show", "mnist-5k")


def get_data(options: Namespace) -> None:
    """Download a data set and print its folder."""
    say(download(options.name))
    say_next("data", "show", options.name)


def show_data(options: Namespace) -> None:
    """Print the card of a data set."""
    data = load_data(options.source, size=options.size)
    say(data.card())
    _say_how_to_train(options, data, None if options.size else options.source)


def import_data(options: Namespace) -> None:
    """Read data in any layout; write one file that loads fast and holds the same splits."""
    require_ending(Path(options.out))
    out = check_new(options.out, options.overwrite, options.source)
    data = load_data(options.source, size=options.size)
    writable_folder(out.parent)
    save_data(out, data)
    say(data.card())
    say(f"\n{size_of(out)}")
    _say_how_to_train(options, data, options.out)


def _say_how_to_train(options: Namespace, data: Data, source: str | None) -> None:
    """Print how to train on ``source``; if None, or if not square, how to import the pictures."""
    _, height, width = data.train.images.shape[1:]
    if height != width:
        say(f"\nThe networks take square images, these are {height}×{width}.")
        source = None
    if source:
        say_next("train", "fc2" if data.origin is None else "head", "--data", source)
    elif Path(options.source).is_dir():
        size = ["--size", str(options.size or 32), "--out", "square.npz"]
        say_next("data", "import", options.source, *size)
