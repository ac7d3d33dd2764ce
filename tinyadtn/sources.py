"""Where data come from: folders of IDX files, and the sets that have a name and known hashes.

Nothing is downloaded unless ``download`` is called, and a named set is used only after its hash,
taken over the unpacked bytes, was found to be right.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .datafile import refusal
from .errors import DataFileError
from .idx import payload_sha256, read_idx

# A split's name here, and what MNIST's file names call it.
PREFIX = {"train": "train", "validation": "validation", "test": "t10k"}


@dataclass(frozen=True)
class Source:
    """A data set with a name: what it is, the hash of each unpacked file, who serves copies."""

    description: str
    sha256: Mapping[str, str]
    mirrors: tuple[str, ...] = ()


KNOWN = {
    # The hashes of the files that data/README.md tells how to make.
    "mnist-5k": Source(
        "5,000 handwritten digits, bundled: 3,500 train, 500 validation, 1,000 test",
        {
            "train-images": "09be325d2089ddb7b27fed5c97e3eaebdb65c7ea37c44f0e97f783f1c3d4154c",
            "train-labels": "a03e3596cbdce065f8429d867ebcbb7516f9b1bb5f776df659432c592d693f4b",
            "validation-images": "d739e1e7d2f37b5b3e2b766208b36797c774d21581ae1f0af3eae2292d556b77",
            "validation-labels": "22cdcc6e57c00e3f56e6b93f9d88c267ee783e448f5e2ca952da7795bdbc1596",
            "t10k-images": "e5a4a5f2fc9097055f836b3373257a63970fbd73c55d9e57fc31f0dda1f9717e",
            "t10k-labels": "e37caccd005c43601ccc037cf0a0ec3006bfbc9927618f94ee80ebafa7f4e15e",
        },
    ),
    # Computed from the four official files.
    "mnist": Source(
        "70,000 handwritten digits, 11 MB: 55,000 train, 5,000 validation, 10,000 test",
        {
            "train-images": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "train-labels": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "t10k-images": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "t10k-labels": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        },
        mirrors=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
    ),
}


def _first(folders: list[Path]) -> Path:
    return next((folder for folder in folders if folder.is_dir()), folders[-1])


# A wheel carries the repository's data/ folder inside the package; in a clone it lies beside it.
BUNDLED = _first([Path(__file__).parent / "data_files", Path(__file__).parent.parent / "data"])


def read_folder(folder: Path, sha256: Mapping[str, str] | None = None) -> dict[str, tuple]:
    """{split: (images (n, h, w), labels (n,))}, uint8, from files named as MNIST's are.

    ``validation-images-idx3-ubyte`` and its labels may be absent. Where ``sha256`` is given it says
    which files there are, and each must have its hash.

    >>> images, labels = read_folder(BUNDLED / "mnist-5k")["test"]
    >>> images.shape, labels[:5].tolist()
    ((1000, 28, 28), [7, 5, 1, 5, 0])
    """
    if not folder.is_dir():
        raise DataFileError(
            f"{folder}: neither a folder nor a data set that is known ({', '.join(KNOWN)})"
        )
    if sha256 is None:
        has_validation = _find(folder, "validation-images") is not None
    else:
        has_validation = "validation-images" in sha256
    pairs = {}
    for split, prefix in PREFIX.items():
        if split != "validation" or has_validation:
            images = _read_file(folder, f"{prefix}-images", sha256)
            pairs[split] = images, _read_file(folder, f"{prefix}-labels", sha256)
    return pairs


def _read_file(folder: Path, key: str, sha256: Mapping[str, str] | None) -> np.ndarray:
    path = _find(folder, key)
    if path is None:
        raise refusal(folder, f"{_file_name(key)} or {_file_name(key)}.gz in it", "neither")
    values = read_idx(path)
    if key.endswith("images") != (values.ndim == 3):
        raise refusal(
            path,
            "images (n, h, w)" if key.endswith("images") else "labels (n,)",
            f"an array {values.shape}; are the files of images and labels swapped?",
        )
    if sha256 is not None:
        _check_hash(path, values, sha256[key])
    return values


def _check_hash(path: Path, values: np.ndarray, sha256: str) -> None:
    found = payload_sha256(values)
    if found != sha256:
        raise refusal(path, f"unpacked bytes with SHA-256 {sha256}", found)


def _file_name(key: str) -> str:
    return f"{key}-idx{3 if key.endswith('images') else 1}-ubyte"


def _find(folder: Path, key: str) -> Path | None:
    for path in (folder / _file_name(key), folder / f"{_file_name(key)}.gz"):
        if path.exists():
            return path
    return None


def locate(name: str) -> Path:
    """The folder that holds the named set; ``DataFileError`` says where it was looked for.

    Looked for in ``$TINYADTN_DATA`` (that folder, or one called ``name`` in it), then in the user's
    cache, where ``download`` puts it. A set without mirrors is bundled.

    >>> locate("mnist-5k") == BUNDLED / "mnist-5k"
    True
    """
    if not KNOWN[name].mirrors:
        return BUNDLED / name
    places = [cache_folder() / name]
    if variable := os.environ.get("TINYADTN_DATA"):
        places = [Path(variable), Path(variable) / name, *places]
    for folder in places:
        if _find(folder, "train-images") is not None:
            return folder
    raise DataFileError(
        f"{name}: no {_file_name('train-images')} or ….gz in {', '.join(map(str, places))}. "
        f"Run: tinyadtn data get {name} (or set TINYADTN_DATA to the folder that holds it)"
    )


def cache_folder() -> Path:
    """Where downloads are kept: ``$XDG_CACHE_HOME/tinyadtn``, by default ``~/.cache/tinyadtn``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tinyadtn"


def available() -> list[tuple[str, str, str]]:
    """A row (name, description, the folder or how to get it) for each known set.

    >>> [name for name, description, where in available()]
    ['mnist-5k', 'mnist']
    """
    rows = []
    for name, source in KNOWN.items():
        try:
            where = str(locate(name))
        except DataFileError:
            where = f"not here; run: tinyadtn data get {name}"
        rows.append((name, source.description, where))
    return rows


def download(name: str) -> Path:
    """Fetch the files of a named set that the cache lacks; the folder that then holds them all.

    A file gets its place only after its hash was right, in one step: an interrupted or wrong
    download leaves nothing behind. ``DataFileError`` when no mirror serves a good copy.

    >>> download("mnist-5k") == locate("mnist-5k")  # bundled: nothing to fetch
    True
    """
    if name not in KNOWN:
        raise DataFileError(f"{name}: not a data set that is known ({', '.join(KNOWN)})")
    source = KNOWN[name]
    if not source.mirrors:
        return locate(name)
    folder = cache_folder() / name
    folder.mkdir(parents=True, exist_ok=True)
    for key, sha256 in source.sha256.items():
        path = folder / f"{_file_name(key)}.gz"
        try:
            _check_hash(path, read_idx(path), sha256)
        except DataFileError:
            _download_file(path, sha256, source.mirrors)
    return folder


def _download_file(path: Path, sha256: str, mirrors: tuple[str, ...]) -> None:
    reasons = []
    part = path.with_name(f".{os.getpid()}-{path.name}")
    for mirror in mirrors:
        try:
            _fetch(mirror + path.name, part)
            _check_hash(part, read_idx(part), sha256)
            part.replace(path)
            return
        except (OSError, DataFileError) as error:  # every error of requests is an OSError
            reason = " ".join(str(error).split())
            if isinstance(error, OSError) and len(reason) > 100:
                reason = f"… {reason[-70:]}"  # requests tells the whole story; the cause is its end
            reasons.append(f"{mirror}: {reason}")
        finally:
            part.unlink(missing_ok=True)
    raise DataFileError(
        f"{path.name}: no mirror served a good copy ({'; '.join(reasons)}). Try again later, "
        f"or put a copy into {path.parent}"
    )


def _fetch(url: str, path: Path) -> None:
    """Download with a progress bar."""
    from pooch import HTTPDownloader

    HTTPDownloader(progressbar=True, chunk_size=2**16)(url, str(path), None)
