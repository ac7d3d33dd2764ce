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

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..data.splits import Data
from ..errors import TinyADTNError
from ..nn.devices import placed
from ..nn.module import Module
from ..tables import format_table, grouped, spread
from .configuration import Config
from .networks import check_dense
from .results import Record
from .run import check_shapes, encoded_and_fitted, network_of, trained_and_evaluated
from .spec import read_spec


@dataclass(frozen=True)
class Settings:
    """The settings of an experiment; ``model`` is a network and ``encode`` as in a sweep."""

    model: str | dict[str, Any]
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


def run_experiment(
    data: Data,
    settings: Settings,
    *,
    trained: Module | None = None,
    show_progress: bool = True,
    keep_dense: Callable[[Module], Any] | None = None,
) -> tuple[dict[str, Module], list[Record]]:
    """Train and evaluate all five networks for every seed.

    Return the networks of the first seed by row, and all records, as a sweep has them. If
    ``trained`` is given, it is the dense network of every seed. Wrong settings raise an error
    before the first step. ``keep_dense`` is called with each dense network once it is trained.
    """
    check(data, settings, trained)
    first: dict[str, Module] = {}
    records: list[Record] = []
    rows = settings.configurations()
    for seed in range(settings.seeds):
        models: dict[str, Module] = {}
        untrained = placed(network_of(rows["dense"], data, seed), settings.device)
        errors: dict[str, float] = {}
        for row, config in rows.items():
            if row == "dense" and trained is not None:
                model, config = placed(trained, settings.device), {**config, "epochs": 0}
            elif row == "fine-tuned":  # the fit is that of the row before
                model = models["fitted only"].copy()
            else:
                start = models["dense"] if "dense" in config else untrained.copy()
                model, errors = encoded_and_fitted(start, config, seed, show_progress)
            done = f"{len(records) + 1} of {len(rows) * settings.seeds}"
            label = f"{row} ({done})" if show_progress else ""
            record = trained_and_evaluated(model, config, seed, data, label)
            models[row] = model
            if row == "dense" and keep_dense is not None:
                keep_dense(model)
            records.append({"row": row, "seed": seed, "fit_error": errors, **record})
        first = first or models
    return first, records


def check(data: Data, settings: Settings, trained: Module | None) -> Module:
    """Encode networks of shapes only and make all training plans, to raise errors early.

    Return the shapes of the dense network.
    """
    rows = settings.configurations()
    shapes = network_of(rows["dense"], data, None)
    if trained is not None:
        check_dense(trained, shapes)
    for config in rows.values():
        check_shapes(config, data, shapes)
    return shapes


def accuracy_table(records: list[Record]) -> str:
    """Return a table of the accuracies of every network, mean ± standard deviation over seeds."""
    rows = [["", "trainable parameters", "epochs", "validation", "test"]]
    for name, same in grouped(records, lambda record: record["row"]).items():
        shares = [[record[split] for record in same] for split in ("validation", "test")]
        epochs = str(len(same[0]["history"]) or "–")
        rows.append([name, f"{same[0]['trained']:,}", epochs, *map(spread, shares)])
    return format_table(rows)
