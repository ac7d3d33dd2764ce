"""One run of a sweep: from a configuration and a seed to a record of its results.

Workers execute it in any process or on any machine and return the record.
"""

from __future__ import annotations

import functools
import json
import time
import traceback
from dataclasses import dataclass, replace
from typing import Any

from ..compression.checkpoint import load
from ..compression.compress import compress
from ..compression.encoded_model import stored_weights
from ..compression.fitting import fit, fittable
from ..compression.report import report
from ..data.loading import load_data
from ..data.splits import Data
from ..encodings.encoding import Encoding
from ..errors import DataFileError, TinyADTNError
from ..nn.devices import placed
from ..nn.module import Module
from ..nn.surgery import freeze
from ..training.evaluate import evaluate
from ..training.features import sha256_of
from ..training.memory import TrainingMemory, check_memory, training_memory
from ..training.parts import KNOWN
from ..training.plan import TrainingPlan
from ..training.progress_bar import with_progress
from ..training.runs import versions
from ..training.train import train
from ..training.vanish import reject_diverged
from .configuration import PLAN, Config
from .networks import build_for, check_dense
from .parts import recipe_of, training_part
from .spec import run_key

RUNS_NO_USER_CODE = True  # ``anomaly`` need not search this file for a line of the caller
REMEMBERED = 2  # cached data sets, and dense networks, per worker


def run_one(config: Config, seed: int, device: str = "cpu") -> dict[str, Any]:
    """Do one run. An error does not raise; it gives a record with the ``status`` "failed".

    The test split is evaluated once, after the last step, and nothing is chosen by it. ``data`` in
    the record is the identity of the data, ``dense_sha256`` the hash of the network in the file
    ``dense``. If the configuration has ``content``, a run with other hashes fails. ``seconds`` is
    the time to encode, fit, train and evaluate. It does not include reading the data and training
    the dense network, because several runs share them.
    """
    known: dict[str, Any] = {"device": device}
    start = None
    try:
        content = config.get("content", {})
        data, known["data"] = _data(config["data"], content.get("data"))
        network = _network_to_encode(config, seed, data, known["data"]["all_sha256"], device)
        if isinstance(config.get("dense"), str):
            known["dense_sha256"] = sha256_of(network)
            _require_content(config["dense"], known["dense_sha256"], content.get("dense"))
        start = time.perf_counter()
        model, errors = encoded_and_fitted(network, config, seed)
        found = trained_and_evaluated(model, config, seed, data)
        result = {"status": "done", "fit_error": errors, **found}
    except TinyADTNError as error:
        result = failure(error)
    except Exception as error:
        result = {**failure(error), "traceback": traceback.format_exc()}
    seconds = 0.0 if start is None else round(time.perf_counter() - start, 3)
    return {**result, **known, "seconds": seconds, "versions": versions()}


def failure(error: BaseException) -> dict[str, Any]:
    """Return the result of a run that failed."""
    return {"status": "failed", "error": f"{type(error).__name__}: {error}"}


@functools.lru_cache(maxsize=REMEMBERED)
def loaded(source: str) -> tuple[Data, dict[str, Any]]:
    """Return the data of that name and their identity; both are cached."""
    data = load_data(source)
    return data, data.identity()


def _data(source: str, sha256: str | None) -> tuple[Data, dict[str, Any]]:
    """Return ``loaded(source)``; read again if the cached data do not have the hash."""
    data, identity = loaded(source)
    if sha256 not in (None, identity["all_sha256"]):
        loaded.cache_clear()
        data, identity = loaded(source)
        _require_content(source, identity["all_sha256"], sha256)
    return data, identity


def _require_content(file: str, found: str, expected: str | None) -> None:
    if expected not in (None, found):
        raise DataFileError(
            f"{file}: its content is not the one that the sweep began with (SHA-256 {found[:8]}… "
            f"instead of {expected[:8]}…); put that back, then --retry-failed does this run"
        )


def encoded_and_fitted(
    network: Module, config: Config, seed: int, show: bool = False
) -> tuple[Module, dict[str, float]]:
    """Return the network with its layers encoded, and the error of each fit."""
    model = encoded(network, config, seed)
    errors = fit(model, network, show_progress=show, **config["fit"]) if "fit" in config else {}
    return model, {layer: each[-1] for layer, each in errors.items()}


def trained_and_evaluated(
    model: Module, config: Config, seed: int, data: Data, label: str = ""
) -> dict[str, Any]:
    """Train the model in place and evaluate it; return its record. A progress bar has a label."""
    model = freeze(model, *config["freeze"]) if "freeze" in config else model
    history = _trained(model, data, config, seed, label)
    if history:
        validation = history[-1]["validation_accuracy"]
    else:
        judged = evaluate(model, data.validation)
        validation = judged.accuracy
        reject_diverged(model, "after training", judged.loss)
    return {
        **stored_numbers(model),
        "history": history,
        "validation": validation,
        "test": evaluate(model, data.test).accuracy,
        "classes": len(data.classes),
        "images": {"train": len(data.train), "test": len(data.test)},
        **({"features": data.origin} if data.origin else {}),
    }


def _network_to_encode(config: Config, seed: int, data: Data, sha256: str, device: str) -> Module:
    """Return the dense network: random, from a file, or trained as ``dense`` specifies."""
    beginning = dense_beginning(config, seed)
    if beginning is not None:  # a copy, because the following steps may change it in place
        return _trained_dense(beginning, sha256, device).copy()
    return placed(network_of(config, data, seed), device)


def dense_beginning(config: Config, seed: int) -> str | None:
    """Return a key of the dense network that a run trains first; None if it trains none.

    Runs with the same key share that network if one worker does them.
    """
    if not isinstance(config.get("dense"), dict):
        return None
    return run_key({name: config[name] for name in ("data", "network", "dense")}, seed)


@functools.lru_cache(maxsize=REMEMBERED)
def _trained_dense(beginning: str, sha256: str, device: str) -> Module:
    """Return the network of ``dense_beginning``, trained on the device, on data with the hash."""
    config, seed = json.loads(beginning)
    data, _ = _data(config["data"], sha256)
    network = placed(network_of(config, data, seed), device)
    _trained(network, data, config["dense"], seed)
    return network


def network_of(config: Config, data: Data, seed: int | None) -> Module:
    """Return the random network, or the network in the file ``dense``."""
    own = dict(config["network"])
    network = build_for(data, own.pop("name"), seed, **own)
    if not isinstance(config.get("dense"), str):
        return network
    # A network of the user's own cannot be built from a file.
    trained = load(config["dense"], into=network if network.config is None else None)
    check_dense(trained, network)
    return trained


def encoded(network: Module, config: Config, seed: int | None) -> Module:
    """Return the network with its layers encoded: "fc1 fc2" separately, "fc1+fc2" jointly."""
    spec: dict[Any, Any] = {}
    for names, options in config.get("encode", {}).items():
        recipe = recipe_of(options)
        for name in names.split():
            spec[tuple(name.split("+")) if "+" in name else name] = recipe
    others = config.get("train_others", True)
    if not spec and others:
        return network
    return compress(network, spec, rng=seed, train_others=others)


def _trained(
    model: Module, data: Data, plan: Config, seed: int, label: str = ""
) -> list[dict[str, Any]]:
    """Train in place; return the history."""
    history = []
    steps = train(model, data, **_options(plan), seed=seed) if plan["epochs"] else iter(())
    for step in with_progress(steps, label, show=bool(label)):
        if step.validation:
            history.append(step.record())
    return history


# --- before anything runs ------------------------------------------------------------------------


@dataclass(frozen=True)
class Preview:
    """Known before a run: stored parameters, memory, and hashes of its files."""

    stored: dict[str, Any]
    memory: TrainingMemory
    data: dict[str, Any]
    dense_sha256: str | None


def check(config: Config) -> Preview:
    """Build the network of shapes only, to raise an error for a wrong configuration."""
    data, identity = loaded(config["data"])
    network = network_of(config, data, None)
    dense = sha256_of(network) if isinstance(config.get("dense"), str) else None
    model, memory = check_shapes(config, data, network)
    return Preview(stored_numbers(model), memory, identity, dense)


def check_shapes(config: Config, data: Data, network: Module) -> tuple[Module, TrainingMemory]:
    """Encode a network of shapes only and return the memory that its training needs."""
    model = encoded(network, config, None)
    if "fit" in config:
        fittable(model)  # raises before the dense network is trained
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
    return model, memory


def _memory(model: Any, data: Data, plan: Config) -> TrainingMemory:
    made = TrainingPlan(**{**_options(plan), "epochs": max(1, plan["epochs"])})
    made.schedule_for(made.epochs * made.steps_per_epoch(len(data.train)))  # raises if it is wrong
    return training_memory(model, data, made)


def _options(plan: Config) -> dict[str, Any]:
    """Return the options of ``train`` in a configuration, with the user's own parts imported."""
    return {name: training_part(plan[name]) if name in KNOWN else plan[name] for name in PLAN}


def stored_numbers(model: Module) -> dict[str, Any]:
    """Return the stored parameters of a model: of each weight, and of the whole with biases.

    ``bytes`` are those of each weight (``Counts.stored_bytes``).
    ``encoded`` lists the encoded weights; ``trained`` is the number of trainable parameters.

    >>> import tinyadtn as ta
    >>> stored_numbers(ta.compress(ta.models.fc2(), {"fc1": 2}, rng=None))["encoded"]
    ['fc1']
    """
    *rows, whole = (row for row in report(model).rows if row.name != "encoded weights")
    return {
        "stored": {row.name.removesuffix(".weight"): row.counts.stored for row in rows},
        "bytes": {row.name.removesuffix(".weight"): row.counts.stored_bytes for row in rows},
        "encoded": [w.name for w in stored_weights(model) if isinstance(w.storage, Encoding)],
        "model": whole.counts.stored,
        "trained": model.num_parameters,
    }
