"""One run of a sweep: from a configuration and a seed to a record of all that came of it.

This is what a worker does, in whatever process or machine; the record goes back to who asked.
"""

from __future__ import annotations

import functools
import json
import math
import statistics
import sys
import time
import traceback
from dataclasses import dataclass, replace
from typing import Any

from ..compression.checkpoint import load
from ..compression.compress import compress
from ..compression.configure import ENCODINGS, options_of
from ..compression.fitting import fit
from ..compression.report import report
from ..data.loading import load_data
from ..data.splits import Data
from ..errors import TinyADTNError
from ..nn.devices import placed
from ..nn.module import Module
from ..nn.surgery import freeze
from ..training.evaluate import evaluate
from ..training.memory import TrainingMemory, check_memory, training_memory
from ..training.runs import TrainingPlan, versions
from ..training.train import train
from .config import Config
from .experiment import build_for, check_dense
from .spec import run_key

RUNS_NO_USER_CODE = True  # so ``anomaly`` looks for no line of the caller's here
REMEMBERED = 2  # data sets, and trained dense networks, that the runs of a worker share


def run_one(config: Config, seed: int, device: str = "cpu") -> dict[str, Any]:
    """Do one run. What goes wrong in it is the result, ``status`` "failed", and raises nothing.

    The test split is judged once, after the last step; nothing is chosen by it. ``data`` tells the
    data by their content. ``seconds`` is what it takes to encode, fit, train and judge. Reading the
    data and training the dense network are not in it: runs share these, so that somebody else may
    have done them.
    """
    known: dict[str, Any] = {"device": device}
    start = None
    try:
        data, known["data"] = loaded(config["data"])
        network = _network_to_encode(config, seed, data, device)
        start = time.perf_counter()
        result = {"status": "done", **_measured(config, seed, data, network)}
    except TinyADTNError as error:
        result = failure(error)
    except Exception as error:
        result = {**failure(error), "traceback": traceback.format_exc()}
    seconds = 0.0 if start is None else round(time.perf_counter() - start, 3)
    return {**result, **known, "seconds": seconds, "versions": versions()}


def failure(error: BaseException) -> dict[str, Any]:
    """The result of a run that failed."""
    return {"status": "failed", "error": f"{type(error).__name__}: {error}"}


@functools.lru_cache(maxsize=REMEMBERED)
def loaded(source: str) -> tuple[Data, dict[str, Any]]:
    """The data of that name, and their identity, which takes a while of its own to compute."""
    data = load_data(source)
    return data, data.identity()


def _measured(config: Config, seed: int, data: Data, network: Module) -> dict[str, Any]:
    model, fit_errors = _start(config, seed, network)
    history, losses = _trained(model, data, config, seed)
    last = evaluate(model, data.validation).accuracy if not history else None
    return {
        **stored_numbers(model),
        "fit_error": {layer: errors[-1] for layer, errors in fit_errors.items()},
        "history": history,
        "losses": losses,
        "validation": history[-1]["validation_accuracy"] if history else last,
        "test": evaluate(model, data.test).accuracy,
        "images": {"train": len(data.train), "test": len(data.test)},
        **({"features": data.origin} if data.origin else {}),
        "peak_memory_mib": _peak_memory(),
    }


def _start(config: Config, seed: int, network: Module) -> tuple[Module, dict[str, list[float]]]:
    """The network before its training; with the errors of the fit, where there was one."""
    model, errors = _encoded(network, config, seed), {}
    if "fit" in config:
        errors = fit(model, network, show_progress=False, **config["fit"])
    return freeze(model, *config["freeze"]) if "freeze" in config else model, errors


def _network_to_encode(config: Config, seed: int, data: Data, device: str) -> Module:
    """The dense network as it was drawn, as a file has it, or trained as ``dense`` says."""
    beginning = dense_beginning(config, seed)
    if beginning is not None:
        trained = _trained_dense(beginning, loaded(config["data"])[1]["sha256"], device)
        return trained.copy()  # what comes now may change it in place
    network = _network(config, data, seed)
    if "dense" in config:
        network = _dense_from(config["dense"], network)
    return placed(network, device)


def dense_beginning(config: Config, seed: int) -> str | None:
    """What decides the dense network that a run trains first, as a text; None where it does not.

    Runs with the same beginning share that network, if they are done by one worker.
    """
    if not isinstance(config.get("dense"), dict):
        return None
    return run_key({name: config[name] for name in ("data", "network", "dense")}, seed)


@functools.lru_cache(maxsize=REMEMBERED)
def _trained_dense(beginning: str, sha256: str, device: str) -> Module:
    """The network of ``dense_beginning``, trained on that device, on the data with that hash."""
    config, seed = json.loads(beginning)
    data, _ = loaded(config["data"])
    network = placed(_network(config, data, seed), device)
    _trained(network, data, config["dense"], seed)
    return network


def _network(config: Config, data: Data, seed: int | None) -> Module:
    own = dict(config["network"])
    return build_for(data, own.pop("name"), seed, **own)


def _dense_from(file: str, wanted: Module) -> Module:
    network = load(file)
    check_dense(network, wanted)
    return network


def _encoded(network: Module, config: Config, seed: int | None) -> Module:
    """The network with its layers encoded: "fc1 fc2" each by itself, "fc1+fc2" jointly."""
    spec: dict[Any, Any] = {}
    for names, options in config.get("encode", {}).items():
        kind = ENCODINGS[options["encoding"]]
        recipe = kind.like(**options_of(options))  # type: ignore[attr-defined]
        for name in names.split():
            spec[tuple(name.split("+")) if "+" in name else name] = recipe
    others = config.get("train_others", True)
    return compress(network, spec, rng=seed, train_others=others) if spec else network


def _trained(
    model: Module, data: Data, plan: Config, seed: int
) -> tuple[list[dict[str, Any]], list[float]]:
    """Train in place: an entry an epoch, and the mean loss over each tenth of the steps."""
    history, losses = [], []
    for step in train(model, data, **_options(plan), seed=seed) if plan["epochs"] else ():
        losses.append(step.loss)
        if step.validation:
            history.append({k: _json(v) for k, v in step.record().items()})
    tenth = max(1, math.ceil(len(losses) / 10))
    tenths = [losses[i : i + tenth] for i in range(0, len(losses), tenth)]
    return history, [round(statistics.fmean(part), 4) for part in tenths]


def _options(plan: Config) -> Config:
    """Those of ``TrainingPlan``."""
    return {k: v for k, v in plan.items() if k in TrainingPlan.__dataclass_fields__}


def _json(value: Any) -> Any:
    """JSON has no word for what is not finite."""
    return value if not isinstance(value, float) or math.isfinite(value) else None


def _peak_memory() -> int | None:
    """The most memory that this process has held, in MiB; of its first run it is that run's."""
    try:
        import resource
    except ImportError:  # not every system tells
        return None
    unit = 2**20 if sys.platform == "darwin" else 2**10  # macOS counts bytes, Linux KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // unit


# --- before anything runs ------------------------------------------------------------------------


@dataclass(frozen=True)
class Preview:
    """What is known of a run beforehand: its stored numbers, its memory, and its data."""

    stored: dict[str, Any]
    memory: TrainingMemory
    data: dict[str, Any]


def check(config: Config) -> Preview:
    """Build the network of shapes alone: whatever is wrong with a configuration is raised here."""
    data, identity = loaded(config["data"])
    network = _network(config, data, None)
    if isinstance(config.get("dense"), str):
        _dense_from(config["dense"], network)
    model = _encoded(network, config, None)
    if "freeze" in config:
        model = freeze(model, *config["freeze"])
    if config["epochs"] and not model.parameters():
        raise TinyADTNError("everything in this network is frozen; epochs = 0 trains nothing")
    memory = _memory(model, data, config)
    if isinstance(config.get("dense"), dict):
        first = _memory(network, data, config["dense"])
        kept = REMEMBERED * sum(t.size * t.dtype.itemsize for _, t in network.named_tensors())
        larger = max(first, memory, key=lambda need: need.total)
        memory = replace(larger, weights=larger.weights + kept)
    check_memory(memory)
    return Preview(stored_numbers(model), memory, identity)


def _memory(model: Module, data: Data, plan: Config) -> TrainingMemory:
    plan = {**_options(plan), "epochs": max(1, plan["epochs"])}
    return training_memory(model, data, TrainingPlan(**plan))  # type: ignore[arg-type]


def stored_numbers(model: Module) -> dict[str, Any]:
    """The numbers that a model stores: those of each weight, and of all with the biases.

    ``encoded`` names the weights that are, ``trained`` says how many numbers training changes.

    >>> import tinyadtn as ta
    >>> stored_numbers(ta.compress(ta.models.fc2(), {"fc1": 2}, rng=None))["encoded"]
    ['fc1']
    """
    *rows, whole = (row for row in report(model).rows if row.name != "encoded weights")
    return {
        "stored": {row.name.removesuffix(".weight"): row.counts.stored for row in rows},
        "encoded": [
            row.name.removesuffix(".weight") for row in rows if not row.encoding.startswith("dense")
        ],
        "model": whole.counts.stored,
        "trained": model.num_parameters,
    }
