"""Labels as people have them: names of classes, or numbers in a column (n, 1)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..errors import DataFileError
from .image_checks import MAX_CLASSES, without_mask

Pairs = dict[str, tuple[Any, Any]]  # {split: (images, labels)}


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Return different names in alphabetical order, numbers by their value.

    >>> in_order(["10", "9", "9"]), in_order(["dog", "cat"])
    (('9', '10'), ('cat', 'dog'))
    """
    different = set(names)
    if all(name.isascii() and name.isdecimal() for name in different):
        return tuple(sorted(different, key=lambda name: (len(name.lstrip("0")), name.lstrip("0"))))
    return tuple(sorted(different))


def numbers_as_names(count: int) -> tuple[str, ...]:
    """Return the names of ``count`` classes that have none: "0", "1", and so on."""
    return tuple(map(str, range(count)))


def number_labels(
    pairs: Pairs, classes: tuple[str, ...] | None, source: str
) -> tuple[Pairs, tuple[str, ...] | None]:
    """Replace labels that are names by their place in ``classes``; return these, too.

    Without ``classes`` they are the names of the training labels, in order. ``DataFileError`` for
    more than 1,000 names, an empty one, the same one twice, and one that is not among the classes.

    >>> number_labels({"train": ("images", ["dog", "cat", "dog"])}, None, "pets")
    ({'train': ('images', array([1, 0, 1]))}, ('cat', 'dog'))
    """
    named = {split: _as_names(pair) for split, pair in pairs.items()}
    known = named.get("train")
    problem = "no training image has" if classes is None else "is not one of the classes"
    if classes is None and known:
        classes = in_order(known)
    if classes is not None:
        _check_names(classes, source)
    if classes is None or not known:
        return pairs, classes
    places = {name: k for k, name in enumerate(classes)}
    numbered = dict(pairs)
    for split, names in named.items():
        if names is None:
            raise DataFileError(f"{source}: {split} needs names of classes, as train has")
        unknown = next((name for name in names if name not in places), None)
        if unknown is not None:
            raise DataFileError(
                f"{source}: {split} has the label {unknown!r}, which {problem} "
                f"({', '.join(classes[:10])}{', …' if len(classes) > 10 else ''})"
            )
        numbered[split] = pairs[split][0], np.array([places[name] for name in names], np.int64)
    return numbered, classes


def _check_names(classes: tuple[str, ...], source: str) -> None:
    """Raise ``DataFileError`` for names by which the classes could not be told apart."""
    if len(classes) > MAX_CLASSES:
        raise DataFileError(
            f"{source}: {len(classes):,} different names of classes, such as {classes[0]!r}; at "
            f"most {MAX_CLASSES:,} can be told apart. Are these the labels?"
        )
    if not all(name.strip() for name in classes):
        raise DataFileError(
            f"{source}: a label or the name of a class is empty; leave out the images without a "
            "label, or name their class"
        )
    if len(set(classes)) < len(classes):
        twice = next(name for name in classes if classes.count(name) > 1)
        raise DataFileError(f"{source}: two classes are called {twice!r}; rename one of them")


def as_text(values: np.ndarray) -> np.ndarray:
    """Return an array of bytes as text; any other array unchanged."""
    return np.char.decode(values, "utf-8", "replace") if values.dtype.kind == "S" else values


def _as_names(pair: Any) -> list[str] | None:
    """Return the labels as texts if they are texts; None for anything else, checked later."""
    try:
        _, labels = pair
        labels = without_mask(labels)
    except (TypeError, ValueError):
        return None
    labels = as_text(labels)
    values = labels.ravel().tolist() if labels.dtype.kind in "UOT" else []
    return values if values and all(isinstance(value, str) for value in values) else None
