"""Does rank pay? FC-2's fc1 trained under many encodings: its accuracy beside its ranks.

    OPENBLAS_NUM_THREADS=1 python tests/bench/cut_ranks.py   # needs MNIST (README); cut_ranks.json
    python tests/bench/cut_ranks.py --table    # prints what stands there

The matrix that fc1 decodes to, 256 × 784, has singular values σ before and after training. Its
*rank* counts those above 10^-5 of the largest; its *effective rank* is exp(H(p)), p = σ²/Σσ², with
H the entropy: how many singular values share the norm (Roy and Vetterli, EUSIPCO 2007). An ADTN's
tensor T can be cut anywhere along the wall: its *widest cut* is the largest effective rank of all.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

import tinyadtn as ta
from tinyadtn import draw
from tinyadtn.encodings.encoding import Encoding
from tinyadtn.tables import format_markdown
from tinyadtn.training.runs import versions

FILE = Path(__file__).parents[2] / "data" / "results" / "cut_ranks.json"
PLAN = {"epochs": 4, "batch_size": 256, "schedule": "one_cycle", "seed": 0}
SMALL = 1e-5  # of the largest singular value: below it is rounding, in float32
IMAGE = (256, (28, 28))
MODES = ((4, 4, 4, 4), (4, 7, 7, 4))


def wall(depth: int, activation: str = "relu", start: str = "orthogonal", **options: Any) -> Any:
    options = {"axes": IMAGE, "order": "mirrored", **options}
    return ta.ADTN.like(depth, activation=activation, start=start, **options)


RATES = {"dense": 5e-3, "frozen": 4e-2}  # of fc1_rates.toml; all others 2e-2
ROWS: dict[str, Any] = {
    "dense": None,
    "frozen": ta.Frozen.like(),
    **{f"output first M={m}": wall(m, order="output_first", axes=(256, 784)) for m in (1, 2, 4)},
    **{f"mirrored M={m}": wall(m) for m in (1, 2, 4, 8)},
    **{f"mirrored M={m}, identity": wall(m, "identity") for m in (2, 4)},
    "mirrored M=4, near identity, identity": wall(4, "identity", "near_identity"),
    **{f"low rank r={r}": ta.LowRank.like(r) for r in (1, 4)},
    **{f"tensor train D={d}": ta.TensorTrain.like(MODES, d) for d in (1, 2, 4)},
}


def measure(name: str, data: ta.Data) -> dict[str, Any]:
    model = ta.models.fc2(rng=0)
    if ROWS[name] is not None:
        model = ta.compress(model, {"fc1": ROWS[name]}, rng=0)
    before = ranks(model)
    rate = RATES.get(name, 2e-2)
    for step in ta.train(model, data, learning_rate=rate, **PLAN):
        accuracy = step.validation.accuracy if step.validation else None
    encoding = model.fc1.weight
    stored = encoding.num_parameters if isinstance(encoding, Encoding) else encoding.size
    return {
        "name": name,
        "learning_rate": rate,
        "stored": stored,
        "validation": accuracy,
        "start": before,
        "trained": ranks(model),
    }


def ranks(model: Any) -> dict[str, float]:
    encoding = model.fc1.weight
    weight = encoding.decode() if isinstance(encoding, Encoding) else encoding
    values = np.linalg.svd(weight.numpy().astype(np.float64), compute_uv=False)
    told = {
        "rank": int((values > SMALL * values[0]).sum()),
        "effective": round(effective(values), 2),
    }
    if isinstance(encoding, ta.ADTN):
        cuts = range(1, encoding.num_sites)
        told["widest_cut"] = round(
            max(effective(draw.cut_spectrum(encoding, cut)) for cut in cuts), 2
        )
    return told


def effective(values: np.ndarray) -> float:
    """exp(H(p)), p = σ²/Σσ².

    >>> round(effective(np.array([2.0, 2.0, 0.0])), 6)
    2.0
    """
    p = values**2 / (values**2).sum()
    p = p[p > 0]
    return float(np.exp(-(p * np.log(p)).sum()))


HEAD = [
    *("`fc1`", "stored", "validation, %", "rank"),
    *("effective rank at the start", "… trained", "widest cut at the start", "… trained"),
]


def table(rows: list[dict[str, Any]]) -> str:
    return format_markdown([HEAD, *map(cells, rows)])


def cells(row: dict[str, Any]) -> list[str]:
    start, end = row["start"], row["trained"]
    return [
        *(row["name"], f"{row['stored']:,}", f"{100 * row['validation']:.1f}", str(end["rank"])),
        *(f"{each['effective']:.1f}" for each in (start, end)),
        *(f"{each['widest_cut']:.1f}" if "widest_cut" in each else "" for each in (start, end)),
    ]


def main(words: list[str]) -> None:
    if words == ["--table"]:
        print(table(json.loads(FILE.read_text(encoding="utf-8"))["rows"]))
        return
    if words:
        sys.exit(__doc__)
    data = ta.load_data("mnist")
    rows = []
    for name in ROWS:
        rows.append(measure(name, data))
        results = {"plan": PLAN, "versions": versions(), "rows": rows}
        FILE.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        print(*cells(rows[-1]), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
