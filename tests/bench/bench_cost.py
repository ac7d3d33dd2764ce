"""What an encoding costs: parameters and bytes, multiply-adds, time per image, training.

    export OPENBLAS_NUM_THREADS=1
    python tests/bench/bench_cost.py            # 3 minutes; data/results/cost.json
    python tests/bench/bench_cost.py FC-2       # only these networks; the others stay as they are
    python tests/bench/bench_cost.py --table    # prints the tables of that file

The times are CPU time, which other work on the machine disturbs less.

The linear layers of three networks, without the convolutions before them: dense, and under every
encoding. Inference is timed in three ways: *decoded*, each batch decodes the weights and is
multiplied by them; *at hand* (*precomputed* in the tables), through what ``ta.decoded`` has
computed; *decode-free*, each batch computes the factors and goes through them. A training step
takes the route that the layers choose. All sides of one network and batch take turns in one process
(``side_by_side``), with results compared first. The peak memory of a step is that of Python's and
NumPy's arrays, weights and Adam's state included, in a fresh process.
"""

from __future__ import annotations

import functools
import json
import math
import os
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from cost_table import tables
from side_by_side import as_on_a_users_machine, difference, rounds

sys.path.insert(0, str(Path(__file__).parents[1]))
from memory_peak import peak_of

import tinyadtn as ta
from tinyadtn.compression.report import npz_bytes
from tinyadtn.decode_free.by_factors import ByFactors
from tinyadtn.decode_free.precomputed import route_of
from tinyadtn.encodings.encoding import Encoding
from tinyadtn.nn.surgery import with_weights
from tinyadtn.training.runs import versions

RESULTS = Path(__file__).parents[2] / "data" / "results"
FILE = RESULTS / "cost.json"
BATCHES = (1, 128)
INFERENCE, TRAINING, FEWEST = 16.0, 9.0, 5  # seconds for all sides together; rounds at least

NETWORKS: dict[str, dict[str, tuple[int, Any]]] = {  # layer: (outputs, inputs)
    "FC-2": {"fc1": (256, (28, 28))},
    "LeNet-5": {"fc1": (120, 400), "fc2": (84, 120), "fc3": (10, 84)},
    "VGG-16": {"fc1": (4096, 512), "fc2": (4096, 4096)},
}
# Of about as many numbers as the ADTNs, as far as that goes: ranks, and modes with their bond.
RANKS = {"FC-2": (1,), "LeNet-5": (4, 3, 2), "VGG-16": (1, 1)}
TRAINS = {  # FC-2 and LeNet-5 as Gao et al., Phys. Rev. Research 2, 023300 (2020)
    "FC-2": ((((4, 4, 4, 4), (4, 7, 7, 4)), 4),),
    "LeNet-5": (
        (((2, 5, 6, 2), (2, 10, 10, 2)), 4),
        (((2, 3, 7, 2), (2, 5, 6, 2)), 4),
        (((1, 5, 2, 1), (2, 3, 7, 2)), 2),
    ),
    "VGG-16": (
        (((4, 4, 4, 4, 4, 4), (2, 2, 2, 4, 4, 4)), 4),
        (((4, 4, 4, 4, 4, 4), (4, 4, 4, 4, 4, 4)), 4),
    ),
}
DENSE = "dense"
timed_rounds = functools.partial(rounds, fewest=FEWEST, clock=time.process_time)


def wall(depth: int, order: str = "mirrored") -> Any:
    return ta.ADTN.like(depth, order=order, start="orthogonal", normalized=False)


def recipes(network: str) -> dict[str, list[Any]]:
    """Encoding: a recipe for each layer."""
    ranks, trains = RANKS[network], TRAINS[network]
    count = len(ranks)
    said = ", ".join(map(str, dict.fromkeys(ranks)))
    bonds = ", ".join(map(str, dict.fromkeys(bond for _, bond in trains)))
    return {
        "ADTN M=1": [wall(1)] * count,
        "ADTN M=1, output first": [wall(1, order="output_first")] * count,
        "ADTN M=4": [wall(4)] * count,
        f"low rank r={said}": [ta.LowRank.like(rank) for rank in ranks],
        f"tensor train D={bonds}": [ta.TensorTrain.like(*train) for train in trains],
        "frozen": [ta.Frozen.like()] * count,
    }


def model_of(network: str, encoding: str, rng: int | None = 0) -> Any:
    """The linear layers with relu between them; without ``rng`` their shapes only."""
    parts: dict[str, Any] = {}
    for name, (outputs, inputs) in NETWORKS[network].items():
        parts |= {f"relu_{name}": ta.ReLU()} if parts else {}
        parts[name] = ta.Linear(inputs, outputs, rng=rng)
    model = ta.Sequential(**parts)
    if encoding == DENSE:
        return model
    return ta.compress(model, dict(zip(NETWORKS[network], recipes(network)[encoding])), rng=rng)


def linear_layers(model: Any) -> dict[str, Any]:
    return {name: layer for name, layer in model.layers() if isinstance(layer, ta.Linear)}


def images_for(network: str, batch: int) -> np.ndarray:
    inputs = next(iter(NETWORKS[network].values()))[1]
    rng = np.random.default_rng(1)
    return rng.normal(size=(batch, np.prod(inputs))).astype(np.float32)


# --- what can be counted -------------------------------------------------------------------------


def counted(model: Any) -> dict[str, Any]:
    """Sums over the layers; ``apply`` is None if one of them has no route but to decode."""
    weights = {name: layer.weight for name, layer in linear_layers(model).items()}
    stored: dict[str, ta.Tensor] = {}
    total = {"stored": 0, "decode": 0, "build": 0, "apply": 0}
    for name, weight in weights.items():
        if isinstance(weight, ta.Tensor):
            stored[name] = weight
            part = {"stored": weight.size, "decode": 0, "build": 0, "apply": weight.size}
        else:
            stored |= {f"{name}.{part}": tensor for part, tensor in weight.named_tensors()}
            part = {"stored": weight.counts().stored, **vars(weight.cost())}
        for key, value in part.items():
            total[key] = None if None in (value, total[key]) else total[key] + value
    return {**total, "npz_bytes": npz_bytes(stored)}


def config_of(model: Any) -> dict[str, Any]:
    """What builds each layer's encoding again."""
    weights = {name: layer.weight for name, layer in linear_layers(model).items()}
    return {name: getattr(w, "config", {"encoding": DENSE}) for name, w in weights.items()}


# --- what is timed -------------------------------------------------------------------------------


class Forced(ByFactors, Encoding):
    """An encoding whose layer does not choose: it never decodes, or always."""

    def __init__(self, weight: Encoding, free: bool):
        self.weight, self.shape, self.free = weight, weight.shape, free

    def decode(self) -> ta.Tensor:
        return self.weight.decode()

    def chain(self, batch: int) -> Any:
        return self.weight.chain(batch) if self.free else None

    def factors(self, chain: Any = None) -> Any:
        return self.weight.factors(chain)

    def decode_work(self) -> float:  # what it takes counts as more than any other route
        return math.inf


def inference_sides(model: Any, x: np.ndarray) -> dict[str, Callable[[], Any]]:
    """The three routes, or two where a layer can only be decoded."""
    x = ta.Tensor(x)
    always = with_weights(model, lambda name, weight: Forced(weight, free=False))
    with ta.decoded(model) as ready:
        sides = {"decoded": lambda: always(x), "at hand": lambda: ready(x)}
    if counted(model)["apply"] is not None:
        never = with_weights(model, lambda name, weight: Forced(weight, free=True))
        sides["decode-free"] = lambda: never(x)
    return sides


def chosen(model: Any, batch: int | None) -> dict[str, str]:
    """The route that each layer takes by itself; without a batch, what it has at hand."""
    free = {n: route_of(layer, batch) is not None for n, layer in linear_layers(model).items()}
    return {name: "decode-free" if route else "decoded" for name, route in free.items()}


def training_side(model: Any, x: np.ndarray) -> Callable[[], None]:
    """A step: forward, backward and Adam's update."""
    optimizer = ta.Adam(model.parameters(), 1e-4)
    g = np.full((len(x), *model.output_shape(x.shape[1:])), 1 / len(x), np.float32)

    def step() -> None:
        model(x, training=True).backward(g)
        optimizer.step()
        optimizer.zero_grad()

    return step


def timed(models: dict[str, Any], network: str) -> dict[str, dict[str, Any]]:
    """Encoding: {what: its milliseconds and how many times the dense layers' time that is}."""
    results: dict[str, dict[str, Any]] = {encoding: {} for encoding in models}
    for batch in BATCHES:
        x = images_for(network, batch)
        with ta.no_grad():
            sides = {(DENSE, "at hand"): lambda x=x: models[DENSE](x)}
            for encoding, model in models.items():
                if encoding != DENSE:
                    routes = inference_sides(model, x)
                    sides |= {(encoding, route): call for route, call in routes.items()}
                    wanted = routes["decoded"]().data
                    errors = [difference([call().data], [wanted]) for call in routes.values()]
                    assert max(errors) < 1e-3, f"{network}, {encoding}: {errors}"
            _note(results, f"batch {batch}", timed_rounds(sides, seconds=INFERENCE))
    x = images_for(network, max(BATCHES))
    steps = {(encoding, "step"): training_side(model, x) for encoding, model in models.items()}
    _note(results, f"batch {max(BATCHES)}", timed_rounds(steps, seconds=TRAINING))
    return results


def _note(results: dict[str, Any], batch: str, seconds: dict[Any, np.ndarray]) -> None:
    reference = next(iter(seconds.values()))  # the dense layers come first
    for (encoding, route), taken in seconds.items():
        low, median, high = (1e3 * np.percentile(taken, [25, 50, 75])).tolist()
        results[encoding][f"{batch}, {route}"] = {
            "ms": median,
            "quartiles": [low, high],
            "times_dense": float(np.median(taken / reference)),
            "rounds": len(taken),
        }


def peak_of_a_step(network: str, encoding: str) -> int:
    """Bytes, in this process: the model, Adam's state and all that two steps hold at once."""

    def two_steps() -> None:
        model = model_of(network, encoding)
        x = images_for(network, max(BATCHES))
        tracemalloc.reset_peak()  # what building the model took does not count
        step = training_side(model, x)
        step()
        step()

    return peak_of(two_steps)


# --- all of it -----------------------------------------------------------------------------------


def measure(chosen_networks: list[str]) -> dict[str, Any]:
    load, _, _ = os.getloadavg()  # before this adds its own
    networks = json.loads(FILE.read_text(encoding="utf-8"))["networks"]
    for network in chosen_networks:
        models = {e: model_of(network, e) for e in (DENSE, *recipes(network))}
        times = timed(models, network)
        rows = []
        for encoding, model in models.items():
            command = [sys.executable, __file__, "peak", network, encoding]
            peak = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            choices = {f"batch {batch}": chosen(model, batch) for batch in BATCHES}
            row = {
                "encoding": encoding,
                "layers": config_of(model),
                **counted(model),
                "peak_bytes": int(peak),
                "chosen": {**choices, "at hand": chosen(model, None)},
                "times": times[encoding],
            }
            rows.append(row)
            print(f"{network}, {encoding}: done", flush=True)
        shapes = {n: list(layer.weight.shape) for n, layer in linear_layers(models[DENSE]).items()}
        networks[network] = {"shapes": shapes, "rows": rows}
    told = {**versions(), "cores": os.cpu_count(), "load": load, "dtype": "float32"}
    return {"versions": told, "batches": list(BATCHES), "networks": networks}


def main(words: list[str]) -> None:
    match words:
        case ["peak", network, encoding]:
            print(peak_of_a_step(network, encoding))
        case ["--table"]:
            print(tables(json.loads(FILE.read_text(encoding="utf-8"))))
        case _ if NETWORKS.keys() >= set(words):
            as_on_a_users_machine()
            measured = measure(words or list(NETWORKS))
            FILE.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
