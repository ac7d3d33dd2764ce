"""The value of --encode: a layer and its encoding, as ``fc1=2`` or ``fc1=TensorTrain:ranks=4``."""

from __future__ import annotations

import argparse
import ast
import inspect
from typing import Any

from ..compression.configure import ENCODINGS
from ..errors import nearest
from .argument_types import positive

KINDS = {name: kind for name, kind in ENCODINGS.items() if name != "Part"}
LONGEST = 1000  # characters: Python's parser is recursive


def layer_encoding(text: str) -> tuple[str, Any]:
    """Return (layer or pattern, depth or recipe) for ``compress``.

    Options are Python's literals, and words that stand for themselves: ``order=interleaved``.

    >>> layer_encoding("fc1=2")
    ('fc1', 2)
    >>> name, recipe = layer_encoding("fc1=ADTN:depth=3,order=interleaved,normalized=False")
    >>> name, recipe((256, 784), rng=0).depth
    ('fc1', 3)
    """
    layer, _, value = text.partition("=")
    kind, _, options = value.partition(":")
    if layer and kind in KINDS and len(text) <= LONGEST:
        return layer, _recipe(layer, kind, options)
    if layer and value and (value.isdecimal() or value[0] in "-+.") and ":" not in value:
        return layer, positive(value)
    raise argparse.ArgumentTypeError(
        "expected LAYER=DEPTH, as fc1=2, or LAYER=ENCODING:option=value,… with one of "
        f"{', '.join(KINDS)}, got {text[:60]!r}{nearest(kind, KINDS)}"
    )


def _recipe(layer: str, kind: str, text: str) -> Any:
    """Return a recipe for an encoding of this kind; a wrong name of an option raises now."""
    options = _options(layer, text)
    names = [n for n in inspect.signature(KINDS[kind]).parameters if n not in ("shape", "rng")]
    for name in options:
        if name not in names:
            raise argparse.ArgumentTypeError(
                f"{layer}: {kind} has no option {name!r}{nearest(name, names)} "
                f"(there is {', '.join(names)})"
            )
    try:
        inspect.signature(KINDS[kind]).bind((), **options)
    except TypeError as error:
        raise argparse.ArgumentTypeError(f"{layer}: {kind}: {error}") from error
    return KINDS[kind].like(**options)  # type: ignore[attr-defined]


def _options(layer: str, text: str) -> dict[str, Any]:
    try:
        call: Any = ast.parse(f"f({text})", mode="eval").body
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name)) or call.args:
            raise ValueError("every option has a name")
        return {
            str(each.arg): each.value.id  # a word without quotes, as in order=mirrored
            if isinstance(each.value, ast.Name)
            else ast.literal_eval(each.value)
            for each in call.keywords
        }
    except (SyntaxError, ValueError, TypeError, AttributeError, MemoryError, RecursionError) as e:
        raise argparse.ArgumentTypeError(
            f"{layer}: expected option=value,option=value, as ranks=4, got {text!r}"
        ) from e
