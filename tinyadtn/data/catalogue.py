"""The named data sets: their files, the folders where they may be, and how to download them.

There are two kinds, ``IdxSet`` and ``CifarSet``, with the same methods: ``is_in`` and ``fits`` look
at a folder, ``read`` returns its images and labels, ``fetch`` downloads what is missing. ``KNOWN``
lists the sets. ``locate``, ``available`` and ``download`` work with the names in this list.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from ..errors import DataFileError, nearest
from . import fetching, idx
from .cifar import CIFAR10, CIFAR100, Layout, holds, read_cifar

# (images, labels) by split, and the names of the classes where the files give them.
Contents = tuple[dict[str, tuple], tuple[str, ...] | None]


@dataclass(frozen=True)
class IdxSet:
    """A data set in IDX files: the hash of each unpacked file, and the mirrors with copies."""

    description: str
    sha256: Mapping[str, str]
    mirrors: tuple[str, ...] = ()
    classes: tuple[str, ...] | None = None
    elsewhere: tuple[Path, ...] = ()  # folders of other programs
    validation: int | None = None  # images taken from the training images; None: 1 in 12
    subfolders: tuple[str, ...] = ("raw",)  # torchvision's subfolders of its root

    def is_in(self, folder: Path) -> bool:
        """Return whether a folder has files of these names."""
        return idx.find(folder, "train-images") is not None

    def fits(self, folder: Path, key: str = "t10k-labels") -> bool:
        """Return whether one file, by default the smallest, has this set's hash: a quick test."""
        try:
            idx.read_file(folder, key, self.sha256)
        except DataFileError:
            return False
        return True

    def read(self, folder: Path) -> Contents:
        """Return the images and labels; the hash of every file is checked."""
        return idx.read_idx_folder(folder, self.sha256), self.classes

    def fetch(self, folder: Path) -> None:
        """Download every file that is missing or wrong, and store it unpacked."""
        for key, sha256 in self.sha256.items():
            if not self.fits(folder, key):
                name = idx.file_name(key)
                urls = [f"{mirror}{name}.gz" for mirror in self.mirrors]
                fetching.fetch(name, sha256, urls, folder, prepare=idx.unpack_idx)


@dataclass(frozen=True)
class CifarSet:
    """A data set in CIFAR's binary layout: its archive, the archive's MD5, and the mirrors."""

    description: str
    layout: Layout
    archive: str
    md5: str
    mirrors: tuple[str, ...]
    counts: tuple[int, int] = (50_000, 10_000)  # training and test images
    validation: int | None = 5_000
    elsewhere: tuple[Path, ...] = ()

    @property
    def subfolders(self) -> tuple[str, ...]:
        """The archive's own folder, for an archive that the user unpacked."""
        return (self.layout.folder,)

    def is_in(self, folder: Path) -> bool:
        """Return whether a folder has files of these names."""
        return holds(folder, self.layout)

    def fits(self, folder: Path) -> bool:
        """Return whether the files have the right sizes: a quick test."""
        sizes = {folder / name: size for name, size in self._sizes().items()}
        return all(path.is_file() and path.stat().st_size == n for path, n in sizes.items())

    def _sizes(self) -> dict[str, int]:
        return {
            name: count // len(names) * self.layout.record
            for count, names in zip(self.counts, self.layout.splits.values())
            for name in names
        }

    def read(self, folder: Path) -> Contents:
        """Return the images, fine labels and class names; the counts of images are checked."""
        return read_cifar(folder, self.layout, self.counts)

    def fetch(self, folder: Path) -> None:
        """Download and unpack the archive unless all files are there."""
        try:
            self.read(folder)
            return
        except DataFileError:
            urls = [mirror + self.archive for mirror in self.mirrors]
        archive_was_here = (folder / self.archive).exists()
        names = [*self._sizes(), self.layout.names]

        def keep(archive: Path) -> None:
            with TemporaryDirectory(dir=folder, prefix=".unpacking-") as room:
                inside = [f"{self.layout.folder}/{name}" for name in names]
                fetching.unpack(archive, inside, Path(room))
                self.read(Path(room))
                for name in names:
                    (Path(room) / name).replace(folder / name)

        try:
            # pooch compares the MD5, the only published hash. It detects damage and wrong files.
            fetching.fetch(self.archive, f"md5:{self.md5}", urls, folder, keep=keep)
        finally:
            if not archive_was_here:
                (folder / self.archive).unlink(missing_ok=True)


KNOWN: dict[str, IdxSet | CifarSet] = {
    # Hashes of the files that are made as data/README.md explains.
    "mnist-5k": IdxSet(
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
    # Hashes of the four official files.
    "mnist": IdxSet(
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
        subfolders=("raw", "MNIST/raw"),
    ),
    # Hashes of the files in Debian's dataset-fashion-mnist, version 0.0~git20200523.55506a9-1.
    # The two label files agree with the publisher's, whose MD5 is in their README.
    "fashion-mnist": IdxSet(
        "70,000 pictures of clothes, 31 MB: 55,000 train, 5,000 validation, 10,000 test",
        {
            "train-images": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "train-labels": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "t10k-images": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "t10k-labels": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        },
        mirrors=(
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        ),
        classes=(
            *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
            *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        ),
        elsewhere=(Path("/usr/share/datasets/fashion-mnist"),),  # that Debian package
        subfolders=("raw", "FashionMNIST/raw"),
    ),
    # The MD5 sums of the archives are those on https://www.cs.toronto.edu/~kriz/cifar.html.
    "cifar10": CifarSet(
        "60,000 colour pictures, 10 classes, 170 MB: 45,000 train, 5,000 validation, 10,000 test",
        CIFAR10,
        archive="cifar-10-binary.tar.gz",
        md5="c32a1d4ab5d03f1284b67883e8d87530",
        mirrors=("https://www.cs.toronto.edu/~kriz/",),
    ),
    "cifar100": CifarSet(
        "60,000 colour pictures, 100 classes, 169 MB: 45,000 train, 5,000 validation, 10,000 test",
        CIFAR100,
        archive="cifar-100-binary.tar.gz",
        md5="03b5dce01913d631647c71ecec9e9cb8",
        mirrors=("https://www.cs.toronto.edu/~kriz/",),
    ),
}


# A wheel carries the repository's data/ folder inside the package; in a clone it is next to it.
PACKAGE = Path(__file__).parents[1]
BUNDLED = PACKAGE / "data_files"
if not BUNDLED.is_dir():
    BUNDLED = PACKAGE.parent / "data"


def locate(name: str) -> Path:
    """Return the folder that holds the named set; ``DataFileError`` lists the folders tried.

    They are searched in this order: ``$TINYADTN_DATA`` (that folder, or one called ``name`` in it),
    the user's cache, where ``download`` stores files, and the folder of Debian's package with
    Fashion-MNIST. In each of them, CIFAR may be in a subfolder with the name that its archive uses.
    The other sets may be in torchvision's subfolders (``raw`` or ``MNIST/raw``). The first folder
    whose files have the right hash or size is returned; if none has, the first with files of these
    names. A set without mirrors is bundled with the package.

    >>> locate("mnist-5k") == BUNDLED / "mnist-5k"
    True
    """
    source = KNOWN[name]
    if not source.mirrors:
        return BUNDLED / name
    places = []
    if variable := os.environ.get("TINYADTN_DATA"):
        places = [Path(variable), Path(variable) / name]
    without_home = ""
    try:
        places.append(cache_folder() / name)
    except DataFileError as error:
        without_home = f" ({error})"
    places = [place / inner for place in places for inner in ("", *source.subfolders)]
    places += source.elsewhere
    candidates = [folder for folder in places if source.is_in(folder)]
    if not candidates:
        raise DataFileError(
            f"{name}: not found in {', '.join(map(str, places)) or 'any folder'}{without_home}. "
            f"Run: tinyadtn data get {name} (or set TINYADTN_DATA to the folder that holds it)"
        )
    return next(filter(source.fits, candidates), candidates[0])


def cache_folder() -> Path:
    """Return the folder for downloads: ``$XDG_CACHE_HOME/tinyadtn``, or ``~/.cache/tinyadtn``."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tinyadtn"
    except RuntimeError:  # neither HOME nor an entry for this user
        raise DataFileError(
            "this user has no home folder to keep data in; set XDG_CACHE_HOME or TINYADTN_DATA"
        ) from None


def available() -> list[tuple[str, str, str]]:
    """Return a row (name, description, the folder or how to get it) for each known set.

    >>> [name for name, description, where in available()]
    ['mnist-5k', 'mnist', 'fashion-mnist', 'cifar10', 'cifar100']
    """
    rows = []
    for name, source in KNOWN.items():
        get = f"run: tinyadtn data get {name}"
        try:
            folder = locate(name)
        except DataFileError:
            where = f"not here; {get}"
        else:
            where = str(folder)
            if not source.fits(folder):
                where = f"not here (other files in {folder}); {get}"
        rows.append((name, source.description, where))
    return rows


def download(name: str) -> Path:
    """Download the missing files of a named set to the cache; return the folder with all of them.

    A file is checked first and then moved to its place in one step, so an interrupted or wrong
    download leaves nothing behind. ``DataFileError`` if no mirror serves a good copy.

    >>> download("mnist-5k") == locate("mnist-5k")  # bundled: nothing to download
    True
    """
    if name not in KNOWN:
        raise DataFileError(
            f"{name}: not a data set that is known ({', '.join(KNOWN)}){nearest(name, KNOWN)}"
        )
    source = KNOWN[name]
    if not source.mirrors:
        return locate(name)
    folder = cache_folder() / name
    folder.mkdir(parents=True, exist_ok=True)
    source.fetch(folder)
    return folder
