"""The value of --encode: an encoding, as ``2`` or ``TensorTrain:ranks=4``, mostly of a layer."""

from __future__ import annotations

import argparse
import ast
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..errors import TinyADTNError, nearest
from ..studies.configuration import ENCODING, encoding_entry
from .argument_types import positive

Entry = dict[str, Any]  # {"encoding": name, option: value, …}, with all options
KINDS = ENCODING.known
LONGEST = 1000  # characters: Python's parser is recursive


def layer_encoding(text: str) -> tuple[str, Entry]:
    """Return (layer or pattern, encoding).

    >>> layer_encoding("fc1=LowRank:rank=2")
    ('fc1', {'encoding': 'LowRank', 'rank': 2})
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

    >>> encoding("ADTN:depth=3,order=interleaved,normalized=False")["order"], encoding("3")["depth"]
    ('interleaved', 3)
    >>> encoding("Quantized:bits=4,of=LowRank(rank=2)")
    {'encoding': 'Quantized', 'bits': 4, 'of': {'encoding': 'LowRank', 'rank': 2}}
    """
    kind, _, options = text.partition(":")
    name = options.partition(":")[0]
    if kind not in KINDS and name.isidentifier():  # "module:name" of the user
        kind, options = f"{kind}:{name}", options[len(name) + 1 :]
    if text[:1] in "-+." or text.isdecimal():
        return encoding_entry(text, positive(text))
    if (kind not in KINDS and ":" not in kind) or len(text) > LONGEST:
        raise argparse.ArgumentTypeError(
            "expected the depth of an ADTN, or ENCODING:option=value,… with one of "
            f"{', '.join(KINDS)}, or module:name, got {text[:60]!r}{nearest(kind, KINDS)}"
        )
    try:
        entry = _entry(ast.parse(f"_({options})", mode="eval").body)
        return encoding_entry(kind, {**entry, "encoding": kind}, Path())
    except TinyADTNError as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix(f"{kind}: ")) from error
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError) as error:
        raise argparse.ArgumentTypeError(
            f"expected option=value,option=value, as ranks=4, got {options!r}"
        ) from error


def _entry(node: ast.expr) -> Entry:
    """Return the encoding of a call, ``TensorTrain(ranks=4)``, or of a name, ``Frozen``."""
    call = node if isinstance(node, ast.Call) else ast.Call(node, [], [])
    if not isinstance(call.func, ast.Name) or call.args:
        raise ValueError("every option has a name")
    return {"encoding": call.func.id} | {str(each.arg): _value(each) for each in call.keywords}


def _value(option: ast.keyword) -> Any:
    if option.arg == "of" and isinstance(option.value, (ast.Call, ast.Name)):
        return _entry(option.value)
    return option.value.id if isinstance(option.value, ast.Name) else ast.literal_eval(option.value)


def by_layer(texts: Iterable[str]) -> dict[str, Entry]:
    """Return {layer or pattern: encoding}; TinyADTNError for a layer that is named twice."""
    found: dict[str, Entry] = {}
    for layer, entry in map(layer_encoding, texts):
        if layer in found:
            raise TinyADTNError(f"--encode names {layer} twice")
        found[layer] = entry
    return found
