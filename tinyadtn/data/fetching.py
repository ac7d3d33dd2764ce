"""Downloads through pooch from the first mirror with a good copy; safe unpacking of archives."""

from __future__ import annotations

import gzip
import sys
import tarfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import DataFileError
from ..files.datafile import describe, refusal

RETRIES = 1  # per mirror: connections break now and then
MARGIN = 2**20  # bytes for headers and for other members, such as a readme


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


def unpack(archive: Path, members: Mapping[str, int], folder: Path) -> None:
    """Write the members of a .tar.gz with these names, at most so many bytes each, to ``folder``.

    ``a/b.bin`` becomes ``folder/b.bin``. A member's own path is only compared with the names, never
    written to. Only ordinary files count: links, devices and all other members are ignored. At most
    the sum of the limits and a margin is unpacked. (pooch's ``Untar`` has no limit, and before
    Python 3.12 it writes to the members' paths.)
    ``DataFileError`` for a damaged archive, and for a member that is too long or missing.
    """
    missing = dict(members)
    try:
        with gzip.open(archive) as unpacked:
            bounded = _Bounded(unpacked, sum(members.values()) + MARGIN, archive)
            # "r|" reads forward only, so that skipped members are not kept in memory.
            with tarfile.open(fileobj=bounded, mode="r|") as tar:  # type: ignore[call-overload]
                for member in tar:
                    name = member.name.removeprefix("./")
                    if name in missing and member.isreg() and not member.issparse():
                        if member.size > (most := missing.pop(name)):
                            expected = f"{name} of at most {most:,} bytes"
                            raise refusal(archive, expected, f"{member.size:,}")
                        content = tar.extractfile(member).read()
                        (folder / Path(name).name).write_bytes(content)
                    if not missing:
                        return
    except DataFileError:
        raise
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error, ValueError) as error:
        raise refusal(archive, "a whole .tar.gz", f"a damaged one ({error})") from error
    raise refusal(archive, f"{', '.join(missing)} in it", "none")


class _Bounded:
    """A stream that rejects reads past a limit, because tarfile trusts the sizes in headers."""

    def __init__(self, stream: Any, limit: int, path: Path):
        self.stream, self.limit, self.left, self.path = stream, limit, limit, path

    def read(self, size: int) -> bytes:
        """Read at most ``size`` bytes; DataFileError past the limit."""
        content = self.stream.read(size)
        self.left -= len(content)
        if self.left < 0:
            raise refusal(self.path, f"at most {self.limit:,} bytes when unpacked", "more")
        return content
