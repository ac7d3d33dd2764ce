"""A dense model becomes an encoded one, and says what that saves."""

from __future__ import annotations

import fnmatch
import io
import numbers
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .adtn import ADTN
from .encodings import Counts, Encoding, Frozen, Recipe
from .engine import Tensor
from .errors import ShapeError, TinyADTNError
from .models import MODELS
from .modes import no_grad
from .module import Module, Seed, dense, layer_named, named_layers, with_weights
from .npz import write_npz

ENCODINGS: dict[str, Callable[..., Encoding]] = {"ADTN": ADTN, "Frozen": Frozen}


def compress(model: Module, spec: Mapping[str, int | Encoding | Recipe], *, rng: Seed) -> Any:
    """A new model in which the named layers' weights are encoded; the old one is left alone.

    ``spec`` maps a layer's name or a pattern ("fc*") to a depth (an ADTN of that depth), to an
    encoding, or to a recipe: ``recipe(shape, axes=…, rng=…)``, such as ``ADTN.like(depth=2)``.
    Everything else is copied. The encodings start at random; ``fit`` brings them near the old
    weights.

    >>> import tinyadtn as ta
    >>> small = compress(ta.models.fc2(rng=0), {"fc*": 2}, rng=0)
    >>> small.fc1.weight
    ADTN((256, 784), depth=2): 436 numbers for 200,704
    """
    rng = None if rng is None else np.random.default_rng(rng)
    layers = named_layers(model)
    chosen: dict[str, Encoding] = {}
    for pattern, wish in spec.items():
        names = fnmatch.filter(layers, pattern)
        if not names:
            raise TinyADTNError(f"no layer matches {pattern!r}; there is {', '.join(layers)}")
        for name in names:
            if name in chosen:
                raise TinyADTNError(f"{name} is named twice in {list(spec)}")
            chosen[name] = _encode(name, layers[name], wish, rng)
    return encoded(model.copy(), chosen)


def _encode(name: str, layer: Any, wish: Any, rng: Seed) -> Encoding:
    if isinstance(wish, numbers.Integral):
        wish = ADTN.like(depth=int(wish))
    if not isinstance(wish, Encoding):
        if not callable(wish):
            raise TinyADTNError(f"{name}: {wish!r} is no depth, encoding or recipe")
        wish = wish(tuple(layer.weight.shape), axes=layer.axes, rng=rng)
    if not isinstance(wish, Encoding):
        raise TinyADTNError(f"{name}: the recipe returned {type(wish).__name__}, not an encoding")
    _check_shape(name, layer, wish)
    return wish


def _check_shape(name: str, layer: Any, encoding: Encoding) -> None:
    if encoding.shape != tuple(layer.weight.shape):
        raise ShapeError(
            f"{name} has a weight of shape {layer.weight.shape}, the encoding is for "
            f"{encoding.shape}"
        )


def encoded(model: Module, weights: Mapping[str, Encoding]) -> Any:
    """The model with these weights, its configuration saying so."""

    def change(path: str, weight: Any) -> Any:
        return weights.get(path.removesuffix(".weight"), weight)

    result = with_weights(model, change)
    if model.config is not None:
        now = {name: weight.config for name, weight in weights.items()}
        result.config = {**model.config, "encodings": {**model.config.get("encodings", {}), **now}}
    return result


def decompress(model: Module) -> Any:
    """The ordinary dense model with the weights that the encodings decode to.

    >>> import tinyadtn as ta
    >>> decompress(compress(ta.models.fc2(rng=0), {"fc1": 1}, rng=0)).num_parameters
    203530
    """
    with no_grad():
        result = with_weights(
            model.copy(), lambda _, weight: Tensor(dense(weight).numpy().copy(), requires_grad=True)
        )
    if model.config is not None:
        result.config = {key: value for key, value in model.config.items() if key != "encodings"}
    return result


def fit(model: Module, dense_model: Module, **options: Any) -> dict[str, list[float]]:
    """Bring every encoded weight of ``model`` close to the dense weight of the same layer.

    The options are those of ``ADTN.fit``; returns each layer's relative error after every step.
    """
    targets = named_layers(dense_model)
    if not any(hasattr(layer.weight, "fit") for layer in named_layers(model).values()):
        raise TinyADTNError("nothing to fit: the first model holds no ADTN (are the two swapped?)")
    return {
        name: layer.weight.fit(dense(targets[name].weight), **{"label": f"fit {name}", **options})
        for name, layer in named_layers(model).items()
        if hasattr(layer.weight, "fit")
    }


def build(config: dict[str, Any]) -> Any:
    """The model that a configuration describes, with shapes only."""
    try:
        options = {k: v for k, v in config.items() if k not in ("model", "encodings")}
        model = MODELS[config["model"]](**options)
        weights = {}
        for name, entry in config.get("encodings", {}).items():
            arguments = {k: v for k, v in entry.items() if k != "encoding"}
            weights[name] = ENCODINGS[entry["encoding"]](**arguments)
            _check_shape(name, layer_named(model, name), weights[name])
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise TinyADTNError(f"this configuration describes no known model: {error!r}") from error
    return encoded(model, weights) if weights else model


# --- what it saves -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """One line of a report: a layer's weight, or a whole model with its biases."""

    name: str
    encoding: str
    counts: Counts
    bytes: int

    def as_dict(self) -> dict[str, Any]:
        """The numbers by name."""
        return {
            "name": self.name,
            "encoding": self.encoding,
            **asdict(self.counts),
            "ratio": self.counts.ratio,
            "bytes": self.bytes,
        }


@dataclass(frozen=True)
class Report:
    """What each weight takes, dense and as stored; printing it gives a table."""

    rows: tuple[Row, ...]

    def __str__(self) -> str:
        head = ["", "encoding", "dense", "stored", "live", "ratio", "padding", "bytes on disk"]
        return format_table([head, *map(self._cells, self.rows)])

    @staticmethod
    def _cells(row: Row) -> list[str]:
        c = row.counts
        return [
            row.name,
            row.encoding,
            f"{c.dense:,}",
            f"{c.stored:,}",
            f"{c.live:,}",
            f"{c.ratio:,.1f}×" if c.stored else "–",
            f"{100 * (c.padded / c.dense - 1):.0f} %",
            f"{row.bytes:,}",
        ]


def report(model: Module) -> Report:
    """Dense weights, stored and live numbers, ratio, padding and bytes, for each layer and in all.

    The last row counts the whole model with its biases. Bytes are those of an uncompressed
    ``.npz`` file with the row's arrays.

    >>> import tinyadtn as ta
    >>> print(report(compress(ta.models.fc2(rng=0), {"fc1": 2}, rng=0)))
                 encoding    dense  stored   live   ratio  padding  bytes on disk
    fc1.weight   ADTN M=2  200,704     436    436  460.3×     31 %          3,012
    fc2.weight      dense    2,560   2,560  2,560    1.0×      0 %         10,506
    whole model            203,530   3,262  3,262   62.4×     30 %         15,174
    """
    rows = []
    biases = sum(t.size for t in model.parameters())
    for name, layer in named_layers(model).items():
        weight = layer.weight
        if isinstance(weight, Tensor):
            n = weight.size
            counts, label, arrays = Counts(n, n, n, n, n), "dense", {"weight": weight.numpy()}
        else:
            counts, arrays = weight.counts(), weight.arrays()
            label = f"ADTN M={weight.depth}" if isinstance(weight, ADTN) else type(weight).__name__
        biases -= counts.stored
        rows.append(
            Row(
                f"{name}.weight",
                label.lower() if label == "Frozen" else label,
                counts,
                npz_bytes(arrays),
            )
        )
    total = Counts(
        **{
            key: biases + sum(getattr(row.counts, key) for row in rows)
            for key in Counts.__annotations__
        }
    )
    return Report((*rows, Row("whole model", "", total, npz_bytes(model.arrays()))))


def npz_bytes(arrays: Mapping[str, Any]) -> int:
    """The size of an uncompressed ``.npz`` file with these arrays."""
    file = io.BytesIO()
    write_npz(file, arrays)
    return len(file.getvalue())


def format_table(rows: list[list[str]], *, left: int = 1) -> str:
    """Rows of text in columns: so many to the left, all others, numbers, to the right."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if k < left else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(row, widths))
        ).rstrip()
        for row in rows
    )
