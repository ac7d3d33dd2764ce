"""Downloads through pooch from the first mirror with a good copy; unpacking of archives."""

from __future__ import annotations

import sys
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ..errors import DataFileError
from ..files.datafile import describe, refusal

RETRIES = 1  # per mirror: connections break now and then


def fetch(
    name: str,
    known_hash: str,
    urls: Iterable[str],
    folder: Path,
    *,
    prepare: Callable[[Path], Any] = lambda part: None,
    keep: Callable[[Path], Any] = lambda file: None,
) -> None:
    """Download ``folder/name`` from the first of ``urls`` that serves it with this hash.

    ``prepare(part)`` may change the copy before pooch compares its hash ("md5:…", or SHA-256) and
    moves it to its place in one step; ``keep(file)`` is called afterwards. A copy that one of them
    rejects, or that is incomplete, is removed. If no mirror is left, ``DataFileError`` names the
    reason for each.
    """
    import pooch

    def download(url: str, part: str, _: Any) -> None:
        _download(url, part)
        with Path(part).open("rb") as file:
            start = file.read(16)
        if start.lstrip().startswith(b"<"):
            raise refusal(Path(name), "a data file", describe(start))
        prepare(Path(part))
        Path(part).chmod(0o644)  # pooch creates a file that only this user can read

    reasons = []
    for url in urls:
        files = pooch.create(
            folder, "", registry={name: known_hash}, urls={name: url}, retry_if_failed=RETRIES
        )
        try:
            keep(Path(files.fetch(name, downloader=download)))
            return
        except (OSError, ValueError) as error:  # every error of requests is an OSError
            reason = " ".join(str(error).split())
            if isinstance(error, OSError) and len(reason) > 100:
                reason = f"… {reason[-70:]}"  # requests gives a long text that ends with the cause
            reasons.append(f"{url}: {reason}")
    raise DataFileError(
        f"{name}: no mirror served a good copy ({'; '.join(reasons)}). Try again later, "
        f"or put a copy into {folder}, unpacked if it is a .tar.gz"
    )


def _download(url: str, path: str) -> None:
    from pooch import HTTPDownloader

    HTTPDownloader(progressbar=sys.stderr is not None, chunk_size=2**16)(url, path, None)


def unpack(archive: Path, names: Iterable[str], folder: Path) -> None:
    """Write the ordinary files with these names in a .tar.gz to ``folder``: a/b.bin as b.bin.

    A member's own path is only compared with the names, never written to. Sizes are not limited,
    because ``fetch`` has compared the hash of the archive with the published one.
    """
    wanted = set(names)
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.name in wanted and member.isreg():
                content = tar.extractfile(member).read()  # type: ignore[union-attr]
                (folder / Path(member.name).name).write_bytes(content)
