"""The project's measured runs, for notebooks that compare with them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ..data.catalogue import BUNDLED
from ..errors import DataFileError

FOLDER = BUNDLED / "results"


def measured(study: str, label: str, layers: Sequence[str] = ("fc1",)) -> tuple[int, list[float]]:
    """Return the parameters stored for ``layers``, and the test accuracy of each run in %.

    ``label`` names a row of the study, as ``tinyadtn sweep data/results/STUDY.toml --table`` prints
    it. Raises DataFileError if there is no such row.

    >>> stored, percents = measured("fc1_budgets", "ADTN depth=1")
    >>> stored, len(percents)
    (164, 5)
    """
    runs = [run for run in _runs(study) if run["label"] == label and "test" in run]
    if not runs:
        labels = ", ".join(sorted({run["label"] for run in _runs(study)}))
        raise DataFileError(f"{study} has no row {label!r}; it has: {labels}")
    return sum(runs[0]["stored"][layer] for layer in layers), [100 * run["test"] for run in runs]


def _runs(study: str) -> list[dict[str, Any]]:
    text = (FOLDER / f"{study}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def trained_once(model: str) -> float:
    """Return the test accuracy in % of a dense network that was trained once on CIFAR-10.

    >>> round(trained_once("vgg16"), 2)
    77.55
    """
    networks = json.loads((FOLDER / "trained.json").read_text(encoding="utf-8"))
    return next(100 * net["test"] for net in networks if net["config"]["model"] == model)
