"""What a command writes: no file that is there is replaced, unless the user adds --overwrite."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from ..errors import TinyADTNError
from ..training.folder import require_free


def check_new(options: Namespace, source: str) -> Path:
    """Return the path of --out, a file to write; reject one that is there, or is the source."""
    out = Path(options.out)
    if out.exists():
        if Path(source).exists() and out.samefile(source):
            raise TinyADTNError(f"{out} would replace its source; name another file with --out")
        if not options.overwrite:
            raise TinyADTNError(
                f"{out} is there already; name another file with --out, or add --overwrite"
            )
    return out


def size_of(path: Path) -> str:
    """Return a file's path and size, to print."""
    return f"{path}, {path.stat().st_size / 2**20:.1f} MiB"


def check_free(options: Namespace, *files: str, hint: str = "") -> None:
    """Reject a folder with files that this command would replace, unless --overwrite is given."""
    if not options.overwrite:
        require_free(Path(options.out), files, f" with --out{hint}, or add --overwrite")
