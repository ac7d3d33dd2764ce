"""Fetching one file from whichever of its mirrors serves a good copy, without leaving a mess."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from ..errors import DataFileError
from ..files.datafile import CHUNK, describe, opened, refusal


def fetch(name: str, mirrors: Sequence[str], folder: Path, accept: Callable[[Path], None]) -> None:
    """Download ``name`` into a part file in ``folder`` and hand that to ``accept``.

    ``accept(part)`` checks the copy and moves what it wants to keep to its place in one step, or
    raises ``DataFileError`` or ``OSError``; then the next mirror is tried. Whatever happens, the
    part file is gone afterwards. ``DataFileError`` with every reason when no mirror is left.
    """
    reasons = []
    part = folder / f".{os.getpid()}-{name}"
    for mirror in mirrors:
        try:
            _download(mirror + name, part)
            accept(part)
            return
        except (OSError, DataFileError) as error:  # every error of requests is an OSError
            reason = " ".join(str(error).split())
            if isinstance(error, OSError) and len(reason) > 100:
                reason = f"… {reason[-70:]}"  # requests tells the whole story; the cause is its end
            reasons.append(f"{mirror}: {reason}")
        finally:
            part.unlink(missing_ok=True)
    raise DataFileError(
        f"{name}: no mirror served a good copy ({'; '.join(reasons)}). Try again later, "
        f"or put a copy into {folder}, unpacked if it is a .tar.gz"
    )


def check_md5(path: Path, md5: str) -> None:
    """``DataFileError`` unless the file's MD5 is this one, the only sum that some sources publish.

    MD5 tells damage and mix-ups. It would not stop an attacker who made both of two files, so what
    was checked with it is still not believed.
    """
    with opened(path, "an archive") as file:
        start = file.read(16)
        digest = hashlib.md5(start, usedforsecurity=False)
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    if digest.hexdigest() != md5:
        raise refusal(path, f"MD5 {md5}", f"{digest.hexdigest()} in {describe(start)}")


def _download(url: str, path: Path) -> None:
    """With a progress bar."""
    from pooch import HTTPDownloader

    HTTPDownloader(progressbar=True, chunk_size=2**16)(url, str(path), None)
