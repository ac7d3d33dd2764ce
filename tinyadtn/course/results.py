"""The project's measured runs, under short names, and a table of them for the notebooks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..data.catalogue import BUNDLED
from ..errors import DataFileError

FOLDER = BUNDLED / "results"

SHORT_NAMES = {  # study -> short name of a row -> its label in the file
    "fc1_budgets": {
        "ADTN M=1": "ADTN depth=1",
        "ADTN M=2": "ADTN depth=2",
        "ADTN M=4": "ADTN depth=4",
        "larger sites": "ADTN, all sites of 4 and 7 learning_rate=0.04",
        "TT D=2": "tensor train learning_rate=0.04 ranks=2",
        "TT D=4": "tensor train learning_rate=0.04 ranks=4",
        "rank 1": "low rank rank=1",
        "rank 4": "low rank rank=4",
        "dense": "dense learning_rate=0.01",
    },
    "fc1_bytes": {
        "MixT w=3": "MixT learning_rate=0.04 width=3",
        "MixT w=2": "MixT learning_rate=0.04 width=2",
        "TT D=4": "tensor train ranks=4",
    },
    "lenet5_mnist": {
        "TT D=2": "tensor train D=2",
        "TT (Gao)": "tensor train D=4, 4, 2",
        "low rank": "low rank r=4, 3, 2",
        "TT, 2,860": "tensor train D=4, 4, 2",
        "TT, 824": "tensor train D=2",
        "ADTN, 2,192": "ADTN M=4",
        "ADTN, 848": "ADTN M=3, 1, 1",
        "removed": "layers removed",
    },
    "vgg16_heads": {
        "ADTN, 424": "ADTN M=1, interleaved",
        "removed": "layers removed",
        "frozen": "frozen learning_rate=0.002",
        "frozen, untuned": "frozen learning_rate=0.01",
    },
    "vgg16_end_to_end": {"424": "ADTN M=1", "removed": "layers removed"},
}


def measured(study: str, label: str, layers: Sequence[str] = ("fc1",)) -> tuple[int, list[float]]:
    """Return the parameters stored for ``layers``, and the test accuracy of each run in %.

    ``label`` names a row of the study, as ``tinyadtn sweep data/results/STUDY.toml --table`` prints
    it, or is one of ``SHORT_NAMES``. Raises DataFileError if there is no such row.

    >>> stored, percents = measured("fc1_budgets", "ADTN M=1")
    >>> stored, len(percents)
    (164, 5)
    """
    label = SHORT_NAMES.get(study, {}).get(label, label)
    runs = [run for run in _runs(study) if run["label"] == label and "test" in run]
    if not runs:
        labels = ", ".join(sorted({run["label"] for run in _runs(study)}))
        raise DataFileError(f"{study} has no row {label!r}; it has: {labels}")
    return sum(runs[0]["stored"][layer] for layer in layers), [100 * run["test"] for run in runs]


def _runs(study: str) -> list[dict[str, Any]]:
    text = (FOLDER / f"{study}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


Runs = Mapping[str, tuple[int, list[float]]]  # name -> parameters, test accuracy of each run in %


def table(short: Runs, long: Runs) -> None:
    """Print parameters, and mean ± standard deviation of short and long runs, one row per name.

    >>> table({"mine": (164, [91.0, 92.0])}, {"dense": (200_704, [98.3])})
                   parameters   yours, short (%)    long runs (%)
    mine                  164        91.5 ± 0.7
    dense             200,704                                98.3
    """
    print("               parameters   yours, short (%)    long runs (%)")
    for name, (size, _) in {**short, **long}.items():
        line = f"{name:14} {size:10,}"
        for rows in (short, long):
            _, percents = rows.get(name, (0, []))
            text = f"{np.mean(percents):.1f}" if percents else ""
            text += f" ± {np.std(percents, ddof=1):.1f}" if len(percents) > 1 else ""
            line += f"{text:>18}"
        print(line.rstrip())


def trained_once(model: str) -> float:
    """Return the test accuracy in % of a dense network that was trained once on CIFAR-10.

    >>> round(trained_once("vgg16"), 2)
    77.55
    """
    networks = json.loads((FOLDER / "trained.json").read_text(encoding="utf-8"))
    return next(100 * net["test"] for net in networks if net["config"]["model"] == model)
