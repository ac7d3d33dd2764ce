"""Write and read ``.npz`` files of plain arrays; reading is safe for files from unknown sources.

A ``.npz`` is a zip archive with one ``.npy`` member for each array. By default members must be
stored without compression, as this writer does, so the content cannot be larger than the file.
Pickles are rejected. Each size in a header is compared with the existing bytes before it is used.
"""

from __future__ import annotations

import math
import os
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CheckpointError, SizeLimitError
from ..limits import most_from, require_memory

# What the zip module raises for a damaged file depends on where the damage is.
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, OverflowError)
_LARGEST_HEADER = 1024  # bytes; NumPy writes 128
MOST_MEMBERS = 10_000  # arrays; reading 60,000 empty ones takes seconds


def write_npz(file: Any, arrays: Mapping[str, Any]) -> None:
    """Write arrays by name. Unlike ``numpy.savez``, it accepts any name."""
    if len(arrays) > MOST_MEMBERS:
        raise SizeLimitError(f"{len(arrays):,} arrays; one file holds at most {MOST_MEMBERS:,}")
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)


def read_npz(path: str | os.PathLike[str], *, packed: bool = False) -> dict[str, np.ndarray]:
    """Return all arrays by name; CheckpointError for a file that is not a sound .npz file.

    With ``packed``, members may be compressed as ``numpy.savez_compressed`` does, up to a limit.
    """
    path = Path(path)
    try:
        if is_stream(path):
            raise CheckpointError(f"{path}: is no ordinary file; expected a .npz file")
        with path.open("rb") as file:
            _check_file(path, file)
            with zipfile.ZipFile(file) as archive:
                _check_members(path, archive.infolist(), most_from(file.fileno()) if packed else 0)
                return {
                    member.filename.removesuffix(".npy"): _read_member(path, archive, member)
                    for member in archive.infolist()
                }
    except CheckpointError:
        raise
    except FileNotFoundError:
        raise CheckpointError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise CheckpointError(f"{path}: is a folder; name the .npz file in it") from None
    except (*_DAMAGE, struct.error) as error:
        why = f"{error} ".splitlines()[0][:200].strip()  # NumPy's messages quote the file
        raise CheckpointError(
            f"{path}: not a readable .npz file ({why}); it is damaged or something else"
        ) from error
    except OSError as error:
        if error.filename is not None:  # from the system: no permission, no such device
            raise
        raise CheckpointError(f"{path}: damaged, it points outside itself ({error})") from error


def is_stream(path: Path) -> bool:
    """Return whether a path is a pipe or a device: reading it could block, or never end."""
    return path.exists() and not (path.is_file() or path.is_dir())


def _check_file(path: Path, file: Any) -> None:
    """Check the size and the number of members before the zip module parses them all."""
    size = os.fstat(file.fileno()).st_size
    if size > most_from(file.fileno()):
        raise CheckpointError(f"{path}: {size:,} bytes, which are mostly holes")
    require_memory(str(path), 2 * size, "load it on a machine with more memory")
    file.seek(max(0, size - 22))
    end = file.read(22)  # the number of members is in it
    if end[:4] != b"PK\5\6":
        raise zipfile.BadZipFile("it does not end as a zip file does")
    _check_count(path, int.from_bytes(end[10:12], "little"))


def _check_count(path: Path, count: int) -> None:
    if count > MOST_MEMBERS:
        raise CheckpointError(
            f"{path}: {count:,} or more members; a file of tinyadtn has at most {MOST_MEMBERS:,}"
        )


def _check_members(path: Path, members: list[zipfile.ZipInfo], packed: int) -> None:
    """Check names, compression and sizes; ``packed`` is the most that they may unpack to, or 0."""
    _check_count(path, len(members))
    names = [member.filename for member in members]
    for name, member in zip(names, members):
        if not name.endswith(".npy") or name.startswith(("/", "\\")) or ".." in name.split("/"):
            raise CheckpointError(f"{path}: refuses the member {name!r}; expected arrays alone")
        plain = member.compress_type == zipfile.ZIP_STORED
        if packed:
            # The other methods may need 4 GiB of memory, and raise errors of their own.
            if not plain and member.compress_type != zipfile.ZIP_DEFLATED:
                raise CheckpointError(
                    f"{path}: {name} is compressed by another method than NumPy's; write the "
                    "arrays with numpy.savez_compressed"
                )
        elif not plain or member.compress_size != member.file_size:
            raise CheckpointError(
                f"{path}: {name} is packed; expected arrays that are stored plainly"
            )
    if len(set(names)) < len(names):
        raise CheckpointError(f"{path}: a name stands twice in it")
    claimed = sum(member.file_size for member in members)
    if claimed > (packed or path.stat().st_size):
        raise CheckpointError(f"{path}: its members claim more bytes than the file has")
    require_memory(str(path), 2 * claimed, "load it on a machine with more memory")


def _read_member(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(member) as file:
        return _read_array(f"{path}: {member.filename}", file, member.file_size)


def read_npy(path: Path, file: Any) -> np.ndarray:
    """Return the array in an open ``.npy`` file; CheckpointError if it is not exactly one."""
    size = os.fstat(file.fileno()).st_size
    require_memory(str(path), 2 * size, "load it on a machine with more memory")
    try:
        return _read_array(str(path), file, size)
    except CheckpointError:
        raise
    except _DAMAGE as error:
        why = f"{error} ".splitlines()[0][:200].strip()
        raise CheckpointError(f"{path}: not a readable .npy file ({why})") from error


def _read_array(name: str, file: Any, available: int) -> np.ndarray:
    """Return the array that a stream of so many bytes holds, after a comparison of its size."""
    shape, fortran, dtype = _read_header(file)
    if dtype.hasobject:
        raise CheckpointError(
            f"{name} holds pickled objects, which are never loaded; store text as "
            "numpy.array(values, dtype=str), and numbers with a dtype of numbers"
        )
    size = math.prod(shape) * dtype.itemsize
    if not size <= available <= size + _LARGEST_HEADER:
        raise CheckpointError(f"{name} claims {size:,} bytes, has {available:,}")
    content = file.read(size + 1)
    if len(content) != size or file.read(1):
        raise CheckpointError(f"{name} is not as long as it says")
    return np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C").copy()


def _read_header(file: Any) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_2_0
    if version == (1, 0):
        read = np.lib.format.read_array_header_1_0
    try:
        shape, fortran, dtype = read(file, max_header_size=_LARGEST_HEADER)
    except (TypeError, SyntaxError, tokenize.TokenError) as error:
        raise ValueError(f"its header is no header: {error}") from error
    if any(isinstance(n, bool) for n in shape):
        raise ValueError(f"its header is no header: shape {shape}")
    return shape, fortran, dtype
