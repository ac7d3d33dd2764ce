"""The main experiment: train a dense network, encode its layers, and compare the results.

It is a sweep of five rows whose networks are kept:

    dense         the network without encodings
    fitted only   its layers replaced by encodings (ADTNs, say) fitted to the trained weights
    fine-tuned    the same, then trained through the task loss
    random start  the same encodings trained from random values, without a dense network
    frozen        the control: random, untrained weights in the same layers, other layers trained

Only the accuracy above *frozen* is due to the stored parameters. All choices are made on the
validation split; the test split is used once for each network, after its training.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..data.splits import Data
from ..errors import TinyADTNError
from ..nn.devices import placed
from ..nn.module import Module
from ..tables import format_table, spread
from .configuration import Config
from .networks import build_for, check_dense
from .run import check_shapes, encoded_and_fitted, trained_and_evaluated
from .spec import read_spec


@dataclass(frozen=True)
class Settings:
    """The settings of an experiment; ``encode`` is {layers: encoding}, as in a sweep."""

    model: str
    encode: dict[str, Any]
    epochs: int
    dense_epochs: int
    fit_steps: int
    learning_rate: float = 3e-2
    dense_learning_rate: float = 2e-3
    batch_size: int = 128
    clip: float = 1.0  # without it, one large step can make a deep ADTN diverge
    seeds: int = 1
    dense_from: str | None = None  # the file of a trained network
    device: str = "cpu"  # or "cuda"

    def configurations(self) -> dict[str, Config]:
        """Return {row: configuration}; a row may continue with networks of those before it."""
        if all(entry in ("Frozen", {"encoding": "Frozen"}) for entry in self.encode.values()):
            raise TinyADTNError("Frozen is the control that compress adds: name another encoding")
        common = {"batch_size": self.batch_size, "clip": self.clip}
        own = {**common, "epochs": self.epochs, "learning_rate": self.learning_rate}
        dense = {**common, "epochs": self.dense_epochs, "learning_rate": self.dense_learning_rate}
        encoded = {**own, "encode": self.encode}
        fitted = {**encoded, "dense": dense, "fit": {"steps": self.fit_steps}}
        rows = {
            "dense": dense,
            "fitted only": {**fitted, "epochs": 0},
            "fine-tuned": fitted,
            "random start": encoded,
            "frozen": {**own, "encode": dict.fromkeys(self.encode, "Frozen")},
        }
        spec = read_spec({"network": self.model, "rows": rows})
        return {run.row: run.config for run in spec.runs}


@dataclass
class Outcome:
    """The networks of one seed and their records, as a sweep has them, by row."""

    seed: int
    models: dict[str, Module]
    records: dict[str, dict[str, Any]]


def run_experiment(
    data: Data, settings: Settings, *, trained: Module | None = None, show_progress: bool = True
) -> list[Outcome]:
    """Train and evaluate all five networks for every seed.

    If ``trained`` is given, it is the dense network of every seed. Wrong settings raise an error
    before the first step.
    """
    check(data, settings, trained)
    return [
        _train_all(data, settings, trained, seed, show_progress) for seed in range(settings.seeds)
    ]


def check(data: Data, settings: Settings, trained: Module | None) -> None:
    """Encode networks of shapes only and make all training plans, to raise errors early."""
    shapes = build_for(data, settings.model, None)
    if trained is not None:
        check_dense(trained, shapes)
    for config in settings.configurations().values():
        check_shapes(config, data, shapes)


def _train_all(
    data: Data, settings: Settings, trained: Module | None, seed: int, show: bool
) -> Outcome:
    models: dict[str, Module] = {}
    records: dict[str, dict[str, Any]] = {}
    untrained = placed(build_for(data, settings.model, seed), settings.device)
    for row, config in settings.configurations().items():
        errors: dict[str, float] = {}
        if row == "dense" and trained is not None:
            model, config = placed(trained, settings.device), {**config, "epochs": 0}
        elif row == "fine-tuned":  # the fit is that of the row before
            model, errors = models["fitted only"].copy(), records["fitted only"]["fit_error"]
        else:
            start = models["dense"] if "dense" in config else untrained.copy()
            model, errors = encoded_and_fitted(start, config, seed, show)
        label = f"{row} (seed {seed})" if show else ""
        record = trained_and_evaluated(model, config, seed, data, label)
        models[row], records[row] = model, {"fit_error": errors, **record}
    return Outcome(seed, models, records)


def accuracy_table(outcomes: list[Outcome]) -> str:
    """Return a table of the accuracies of every network, mean ± standard deviation over seeds."""
    rows = [["", "trainable parameters", "epochs", "validation", "test"]]
    for name, first in outcomes[0].records.items():
        shares = [[o.records[name][split] for o in outcomes] for split in ("validation", "test")]
        epochs = str(len(first["history"]) or "–")
        rows.append([name, f"{first['trained']:,}", epochs, *map(spread, shares)])
    return format_table(rows)
