"""What a command writes: no file that is there is replaced, unless the user adds --overwrite."""

from __future__ import annotations

import os
from argparse import Namespace
from pathlib import Path

from ..errors import TinyADTNError
from ..training.folder import require_free


def check_new(path: str, overwrite: bool, *sources: str | Path) -> Path:
    """Return the path of a file to write; reject one of the sources, or one that is there."""
    for source in sources:
        if os.path.realpath(path) == os.path.realpath(source):
            raise TinyADTNError(f"{path} would replace its source {source}; name another file")
    if Path(path).is_dir():
        raise TinyADTNError(f"{path} is a folder; add the name of a file")
    if Path(path).exists() and not overwrite:
        raise TinyADTNError(f"{path} is there already; name another file, or add --overwrite")
    return Path(path)


def check_picture(path: str, overwrite: bool, *sources: str | Path) -> Path:
    """Do ``check_new`` for a picture."""
    if Path(path).suffix.lower() != ".png":
        raise TinyADTNError(f"a picture is a file that ends in .png; got {path}")
    return check_new(path, overwrite, *sources)


def size_of(path: Path) -> str:
    """Return a file's path and size, to print."""
    return f"{path}, {path.stat().st_size / 2**20:.1f} MiB"


def check_free(options: Namespace, *files: str, hint: str = "") -> None:
    """Reject a folder with files that this command would replace, unless --overwrite is given."""
    if not options.overwrite:
        require_free(Path(options.out), files, f" with --out{hint}, or add --overwrite")
