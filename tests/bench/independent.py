"""How many of the numbers that an encoding stores are independent: see tinyadtn/independent.py.

OPENBLAS_NUM_THREADS=1 python tests/bench/independent.py   # 40 s; writes independent.json
python tests/bench/independent.py --table                  # prints what stands there
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import tinyadtn as ta
from tinyadtn.encodings.independent import clear_rank
from tinyadtn.tables import format_markdown
from tinyadtn.training.runs import versions

FILE = Path(__file__).parents[2] / "data" / "results" / "independent.json"


def wall(depth: int, activation: str = "relu", **options: Any) -> Any:
    options = {"order": "mirrored", "start": "orthogonal", **options}
    return ta.ADTN.like(depth, activation=activation, **options)


FC1, VGG_FC1, VGG_FC2 = (256, 784), (4096, 512), (4096, 4096)
IMAGE = (256, (28, 28))
MODES = ((4, 4, 4, 4), (4, 7, 7, 4))
LARGE = {
    "axes": (256, (4, 7, 4, 7)),
    "site_dim": (4, 4, 4, 4, 4, 7, 4, 7),
    "order": (5, 0, 4, 1, 2, 6, 3, 7),
}
ROWS: list[tuple[str, tuple[int, int], str, Any]] = [
    ("FC-2 `fc1`", FC1, "M=1", wall(1, axes=IMAGE)),
    ("FC-2 `fc1`", FC1, "M=2", wall(2, axes=IMAGE)),
    ("FC-2 `fc1`", FC1, "M=2, identity", wall(2, "identity", axes=IMAGE)),
    ("FC-2 `fc1`", FC1, "M=1, all sites of 4 and 7", wall(1, **LARGE)),
    ("FC-2 `fc1`", FC1, "tensor train D=2", ta.TensorTrain.like(MODES, 2)),
    ("FC-2 `fc1`", FC1, "low rank r=1", ta.LowRank.like(1)),
    ("VGG-16 `fc1`", VGG_FC1, "M=1", wall(1, order="output_first")),
    ("VGG-16 `fc2`", VGG_FC2, "M=1", wall(1, order="output_first")),
]


def measure(layer: str, shape: tuple[int, int], name: str, recipe: Any) -> dict[str, Any]:
    encoding = recipe(shape, rng=0)
    values = ta.jacobian_spectrum(encoding)
    count, counts = clear_rank(values), encoding.counts()
    return {
        "layer": layer,
        "encoding": name,
        "stored": counts.stored,
        "live": counts.live,
        "independent": count,
        "kept": float(values[count - 1] / values[0]),
        "dropped": float(values[count] / values[0]) if count < len(values) else None,
        "config": encoding.config,
    }


HEAD = ["", "", "stored", "live", "independent", "smallest kept", "largest dropped"]


def table(rows: list[dict[str, Any]]) -> str:
    return format_markdown([HEAD, *map(cells, rows)], left=2)


def cells(row: dict[str, Any]) -> list[str]:
    counts = [f"{row[key]:,}" for key in ("stored", "live", "independent")]
    gap = ["–" if row[key] is None else f"{row[key]:.0e}" for key in ("kept", "dropped")]
    return [row["layer"], row["encoding"], *counts, *gap]


def main(words: list[str]) -> None:
    if words == ["--table"]:
        print(table(json.loads(FILE.read_text(encoding="utf-8"))["rows"]))
        return
    if words:
        sys.exit(__doc__)
    rows = []
    for row in ROWS:
        rows.append(measure(*row))
        content = {"versions": versions(), "rows": rows}
        FILE.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        print(*cells(rows[-1]), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
