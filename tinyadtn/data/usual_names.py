"""Arrays under the names that people give them: x_train and y_train, test_images, images, labels, …

The names of files follow the same rules, such as ``mnist_test.csv`` or a folder called ``val``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import DataFileError
from .image_checks import without_mask
from .labels import as_text

# The words for each split, and those for images and labels; of two, the earlier is taken.
SPLIT_WORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "t10k"),
}
IMAGES = ("x", "images", "image", "pixels", "data")
LABELS = ("y", "labels", "label", "targets", "target")
CLASSES = ("classes", "class_names", "label_names", "target_names")
EXPECTED = "x_train, y_train, x_test and y_test, or images and labels"


def words_of(name: str) -> list[str]:
    """Return the words in a name, in lower case.

    >>> words_of("X_train"), words_of("trainX"), words_of("fashion-mnist_test")
    (['x', 'train'], ['train', 'x'], ['fashion', 'mnist', 'test'])
    """
    words = re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])[0-9]*", name)
    return [word.lower() for word in words]


def split_of(name: str) -> str | None:
    """Return the split that a name means, "train", "validation" or "test"; None unless it has one.

    >>> split_of("mnist_test"), split_of("train_test")
    ('test', None)
    """
    words = words_of(name)
    found = [s for s, known in SPLIT_WORDS.items() if any(word in words for word in known)]
    return found[0] if len(found) == 1 else None


def by_usual_names(
    arrays: Mapping[str, Any], source: str
) -> tuple[dict[str, tuple], tuple[str, ...] | None]:
    """Return {split: (images, labels)}, and the class names if there are any, of named arrays.

    Images and labels without a split become the training split. ``DataFileError`` for images
    without labels, and if there are none.

    >>> arrays = {"x_train": 1, "y_train": 2, "test/images": 3, "test/labels": 4}
    >>> by_usual_names(arrays, "arrays")[0]
    {'train': (1, 2), 'test': (3, 4)}
    """
    images: dict[str, list] = {}
    labels: dict[str, list] = {}
    classes = None
    for name, value in arrays.items():
        words, split = words_of(str(name)), split_of(str(name)) or "train"
        if "_".join(words) in CLASSES:
            classes = _class_names(value, f"{source}: {name}")
            continue
        for found, known in ((images, IMAGES), (labels, LABELS)):
            rank = min((known.index(word) for word in words if word in known), default=None)
            if rank is not None:
                found.setdefault(split, []).append((rank, str(name), value))
    for split, other in ((s, o) for a, o in ((images, labels), (labels, images)) for s in a):
        if split not in other:
            raise DataFileError(
                f"{source}: {split} has {'images' if other is labels else 'labels'} only: "
                f"expected arrays called {EXPECTED}, found {_listed(arrays)}"
            )
    if not images:
        raise DataFileError(
            f"{source}: expected arrays called {EXPECTED}, found {_listed(arrays)}; rename them, "
            "or in Python pass the two: ta.load_data((images, labels))"
        )
    return {s: (_first(images[s], source), _first(labels[s], source)) for s in images}, classes


def _class_names(value: Any, what: str) -> tuple[str, ...]:
    names = without_mask(value)
    if names.ndim != 1 or len(names) == 0:
        raise DataFileError(
            f"{what}: expected a name for each class, (classes,), found {names.shape}"
        )
    return tuple(map(str, as_text(names)))


def _first(candidates: list[tuple[int, str, Any]], source: str) -> Any:
    """Return the array with the best name; DataFileError if two names are equally good."""
    best = min(rank for rank, _, _ in candidates)
    found = [(name, value) for rank, name, value in candidates if rank == best]
    if len(found) > 1:
        raise DataFileError(
            f"{source}: {' and '.join(name for name, _ in found)} may both be meant; leave one out"
        )
    return found[0][1]


def _listed(names: Iterable[Any]) -> str:
    return ", ".join(map(str, list(names)[:12])) or "none"
