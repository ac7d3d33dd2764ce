"""How many of the numbers that an encoding stores are independent: see tinyadtn/independent.py.

OPENBLAS_NUM_THREADS=1 python tests/bench/independent.py   # minutes; writes independent.json
python tests/bench/independent.py --table                  # prints what stands there
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import tinyadtn as ta
from tinyadtn.independent import clear_rank
from tinyadtn.runs import versions
from tinyadtn.sweep_markdown import markdown

FILE = Path(__file__).parents[2] / "data" / "results" / "independent.json"


def wall(depth: int, activation: str = "relu", **options: Any) -> Any:
    options = {"order": "mirrored", "start": "orthogonal", **options}
    return ta.ADTN.like(depth, activation=activation, **options)


FC1, VGG_FC1, VGG_FC2 = (256, 784), (4096, 512), (4096, 4096)
IMAGE = (256, (28, 28))
ROWS: dict[str, tuple[str, tuple[int, int], Any]] = {
    "M=1": ("FC-2 `fc1`", FC1, wall(1, axes=IMAGE)),
    "M=2": ("FC-2 `fc1`", FC1, wall(2, axes=IMAGE)),
    "M=2, identity": ("FC-2 `fc1`", FC1, wall(2, "identity", axes=IMAGE)),
    "tensor train D=2": (
        *("FC-2 `fc1`", FC1),
        ta.TensorTrain.like(((4, 4, 4, 4), (4, 7, 7, 4)), 2),
    ),
    "low rank r=1": ("FC-2 `fc1`", FC1, ta.LowRank.like(1)),
    "M=1 of fc1": ("VGG-16 `fc1`", VGG_FC1, wall(1, order="output_first")),
    "M=1 of fc2": ("VGG-16 `fc2`", VGG_FC2, wall(1, order="output_first")),
}


def measure(name: str) -> dict[str, Any]:
    layer, shape, recipe = ROWS[name]
    encoding = recipe(shape, rng=0)
    values = ta.jacobian_spectrum(encoding)
    count, counts = clear_rank(values), encoding.counts()
    return {
        "layer": layer,
        "encoding": name.removesuffix(" of fc1").removesuffix(" of fc2"),
        "stored": counts.stored,
        "live": counts.live,
        "independent": count,
        "kept": float(values[count - 1] / values[0]),
        "dropped": float(values[count] / values[0]) if count < len(values) else None,
        "config": encoding.config,
    }


def table(rows: list[dict[str, Any]]) -> str:
    head = ["", "", "stored", "live", "independent", "smallest kept", "largest dropped"]
    body = [
        [row["layer"], row["encoding"], *(f"{row[key]:,}" for key in head[2:5])]
        + ["–" if row[key] is None else f"{row[key]:.0e}" for key in ("kept", "dropped")]
        for row in rows
    ]
    return markdown([head, *body])


def main(words: list[str]) -> None:
    if words == ["--table"]:
        print(table(json.loads(FILE.read_text(encoding="utf-8"))["rows"]))
        return
    if words:
        sys.exit(__doc__)
    rows = []
    for name in ROWS:
        rows.append(measure(name))
        content = {"versions": versions(), "rows": rows}
        FILE.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        print(table(rows[-1:]).splitlines()[-1], flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
