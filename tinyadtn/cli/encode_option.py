"""The value of --encode: an encoding, as ``2`` or ``TensorTrain:ranks=4``, mostly of a layer."""

from __future__ import annotations

import argparse
import ast
import inspect
from collections.abc import Iterable
from typing import Any

from ..compression.configure import ENCODINGS
from ..errors import TinyADTNError, nearest
from ..studies.parts import encoding_named
from .argument_types import positive

Entry = int | dict[str, Any]  # the depth of an ADTN, or {"encoding": name, option: value, …}
KINDS = {name: kind for name, kind in ENCODINGS.items() if name != "Part"}
LONGEST = 1000  # characters: Python's parser is recursive


def layer_encoding(text: str) -> tuple[str, Entry]:
    """Return (layer or pattern, encoding).

    >>> layer_encoding("fc1=2")
    ('fc1', 2)
    """
    layer, _, value = text.partition("=")
    if not layer or not value:
        raise argparse.ArgumentTypeError(
            f"expected LAYER=DEPTH, as fc1=2, or LAYER=ENCODING:option=value,…, got {text[:60]!r}"
        )
    try:
        return layer, encoding(value)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{layer}: {error}") from error


def encoding(text: str) -> Entry:
    """Return an encoding. Its options are Python's literals, and words: ``order=interleaved``.

    >>> encoding("ADTN:depth=3,order=interleaved,normalized=False")
    {'encoding': 'ADTN', 'depth': 3, 'order': 'interleaved', 'normalized': False}
    >>> encoding("Quantized:bits=4,of=TensorTrain(ranks=4)")
    {'encoding': 'Quantized', 'bits': 4, 'of': {'encoding': 'TensorTrain', 'ranks': 4}}
    """
    kind, _, options = text.partition(":")
    name = options.partition(":")[0]
    if kind not in KINDS and name.isidentifier():  # "module:name" of the user
        kind, options = f"{kind}:{name}", options[len(name) + 1 :]
    if (kind in KINDS or ":" in kind) and len(text) <= LONGEST:
        try:
            return _entry(ast.parse(f"kind({options})", mode="eval").body, kind)
        except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError) as error:
            raise argparse.ArgumentTypeError(
                f"expected option=value,option=value, as ranks=4, got {options!r}"
            ) from error
    if text[:1] in "-+." or text.isdecimal():
        return positive(text)
    raise argparse.ArgumentTypeError(
        "expected the depth of an ADTN, or ENCODING:option=value,… with one of "
        f"{', '.join(KINDS)}, or module:name, got {text[:60]!r}{nearest(kind, KINDS)}"
    )


def encoding_text(text: str) -> str:
    """Return the text if ``encoding`` takes it."""
    encoding(text)
    return text


def layer_text(text: str) -> str:
    """Return the text if ``layer_encoding`` takes it."""
    layer_encoding(text)
    return text


def _entry(node: ast.expr, kind: str = "") -> dict[str, Any]:
    """Return the encoding of a call, ``TensorTrain(ranks=4)``; a wrong option raises now."""
    call = node if isinstance(node, ast.Call) else ast.Call(node, [], [])
    if not isinstance(call.func, ast.Name) or call.args:
        raise ValueError("every option has a name")
    kind = kind or call.func.id
    if kind not in KINDS and ":" not in kind:
        raise argparse.ArgumentTypeError(
            f"no encoding is called {kind!r}{nearest(kind, KINDS)} (there is {', '.join(KINDS)})"
        )
    signature = inspect.signature(encoding_named(kind))
    options = {str(each.arg): _value(each) for each in call.keywords}
    names = [n for n in signature.parameters if n not in ("shape", "rng")]
    for name in options:
        if name not in names:
            raise argparse.ArgumentTypeError(
                f"{kind} has no option {name!r}{nearest(name, names)} (there is {', '.join(names)})"
            )
    try:
        signature.bind((), **options)
    except TypeError as error:
        raise argparse.ArgumentTypeError(f"{kind}: {error}") from error
    return {"encoding": kind, **options}


def _value(option: ast.keyword) -> Any:
    if option.arg == "of" and isinstance(option.value, (ast.Call, ast.Name)):
        return _entry(option.value)
    return option.value.id if isinstance(option.value, ast.Name) else ast.literal_eval(option.value)


def recipe(entry: Entry) -> Any:
    """Return the encoding as ``compress`` takes it: a depth or a recipe.

    >>> recipe(encoding("ADTN:depth=3"))((256, 784), rng=0).depth
    3
    """
    if isinstance(entry, int):
        return entry
    options = {name: value for name, value in entry.items() if name != "encoding"}
    if "of" in options:
        options["of"] = recipe(options["of"])
    return encoding_named(entry["encoding"]).like(**options)


def by_layer(texts: Iterable[str]) -> dict[str, Entry]:
    """Return {layer or pattern: encoding}; TinyADTNError for a layer that is named twice."""
    found: dict[str, Entry] = {}
    for layer, entry in map(layer_encoding, texts):
        if layer in found:
            raise TinyADTNError(f"--encode names {layer} twice")
        found[layer] = entry
    return found
