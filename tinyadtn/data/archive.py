"""Taking known files out of a .tar.gz, believing nothing that it says about names or sizes."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from ..errors import DataFileError
from ..files.datafile import CHUNK, refusal

MARGIN = 2**20  # bytes for headers and for members that nobody asked for, a readme say


def unpack(archive: Path, members: Mapping[str, int], folder: Path) -> None:
    """Write each member of these names, at most so many bytes long, into ``folder``, without paths.

    ``a/b.bin`` becomes ``folder/b.bin``. A member's own path is compared with the names and never
    used, and only ordinary files count: links, devices and everything else in the archive are
    passed over. No more than the limits together, and a margin, is ever unpacked.
    ``DataFileError`` for a damaged archive, a member that is too long, or one that is missing.
    """
    missing = dict(members)
    try:
        with gzip.open(archive) as unpacked:
            bounded = _Bounded(unpacked, sum(members.values()) + MARGIN, archive)
            # "r|" reads forward only, so that what was passed over is not kept either.
            with tarfile.open(fileobj=bounded, mode="r|") as tar:  # type: ignore[call-overload]
                for member in tar:
                    name = member.name.removeprefix("./")
                    if name in missing and member.isreg() and not member.issparse():
                        _write(tar, member, missing.pop(name), folder, archive)
                    if not missing:
                        return
    except DataFileError:
        raise
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error, ValueError) as error:
        raise refusal(archive, "a whole .tar.gz", f"a damaged one ({error})") from error
    raise refusal(archive, f"{', '.join(missing)} in it", "none")


def _write(
    tar: tarfile.TarFile, member: tarfile.TarInfo, limit: int, folder: Path, archive: Path
) -> None:
    if member.size > limit:
        raise refusal(archive, f"{member.name} of at most {limit:,} bytes", f"{member.size:,}")
    content = tar.extractfile(member)
    assert content is not None  # it is an ordinary file
    written = 0
    with (folder / Path(member.name).name).open("wb") as file:
        while chunk := content.read(CHUNK):
            written += file.write(chunk)
    if written != member.size:
        raise refusal(archive, f"{member.name} of {member.size:,} bytes", f"{written:,}")


class _Bounded:
    """A stream that refuses to be read past a limit: tarfile believes the sizes in its headers."""

    def __init__(self, stream: IO[bytes] | gzip.GzipFile, limit: int, path: Path):
        self.stream, self.limit, self.left, self.path = stream, limit, limit, path

    def read(self, size: int) -> bytes:
        content = self.stream.read(size)
        self.left -= len(content)
        if self.left < 0:
            raise refusal(self.path, f"at most {self.limit:,} bytes when unpacked", "more")
        return content
