"""FC-2 on full MNIST with its first layer encoded: order, depth, start and schedule.

    TINYADTN_DATA=FOLDER python tests/bench/study_fc1.py SET [SET …]     run what is not done yet
    python tests/bench/study_fc1.py --table SET [SET …]                  print what is done

Sets: recipe (4 epochs, peak 5e-3), spread (the same, output first, 10 seeds), depth (10 epochs, all
orders and depths), fit (fit first, as many steps in all), deep (M = 6 and 8: rates, schedules,
scales, starts), orthogonal (10 epochs with that start). Every run is appended to
data/results/fc1_mnist.jsonl as it ends, so a stopped study goes on where it was. Test accuracy is
measured once a run, after its last step; nothing was chosen by it. Set OPENBLAS_NUM_THREADS=1 to
run two sets side by side on two cores.
"""

from __future__ import annotations

import functools
import math
import statistics
import time

import numpy as np
from study import FOLDER, main, with_seeds

import tinyadtn as ta

RESULTS = FOLDER / "fc1_mnist.jsonl"
IMAGE_AXES = [256, [28, 28]]
PLACEMENTS = [("output_first", None), ("interleaved", None), ("interleaved", IMAGE_AXES)]
SHORT = {"epochs": 4, "learning_rate": 5e-3, "batch_size": 256}


DEEP = {"epochs": 4, "batch_size": 256, "learning_rate": 1e-2}


def adtn(depth, order="interleaved", axes=IMAGE_AXES, **rest):
    return {"layer": "adtn", "depth": depth, "order": order, "axes": axes, **rest}


def sets():
    placed = [adtn(m, *place) for m in (1, 2, 4, 8) for place in PLACEMENTS]
    return {
        "recipe": with_seeds(
            [
                {**SHORT, **config}
                for config in [
                    {"layer": "dense", "learning_rate": 1e-3},
                    {"layer": "dense", "learning_rate": 5e-3},
                    {"layer": "frozen"},
                    *(adtn(m, order, None) for order, _ in PLACEMENTS[:2] for m in (1, 2, 3, 4)),
                    adtn(1),
                    adtn(2),
                ]
            ]
        ),
        "spread": with_seeds(
            [{**SHORT, **adtn(m, "output_first", None)} for m in (1, 2, 4)], seeds=10
        ),
        "depth": with_seeds(
            [
                {**config, "epochs": 10, "batch_size": 256}
                for config in [
                    {"layer": "dense", "learning_rate": 1e-3},
                    {"layer": "dense", "learning_rate": 5e-3},
                    {"layer": "frozen", "learning_rate": 5e-3},
                    *(
                        {**config, "learning_rate": lr}
                        for config in placed
                        for lr in ([1e-2, 2e-2] if config["depth"] > 2 else [2e-2])
                    ),
                ]
            ]
        ),
        # As many steps in all as 10 epochs: 430 to fit the dense weights, 8 epochs to train.
        "fit": with_seeds(
            [
                {**adtn(m), "epochs": 8, "fit_steps": 430, "learning_rate": 2e-2, "batch_size": 256}
                for m in (1, 2, 4)
            ]
        ),
        "orthogonal": with_seeds(
            [
                {**adtn(m), "epochs": 10, "batch_size": 256, "learning_rate": 2e-2, **start}
                for m in (2, 4, 8)
                for start in [{"start": "orthogonal"}]
            ]
        ),
        "deep": with_seeds(
            [
                {**DEEP, **adtn(m), **change}
                for m in (6, 8)
                for change in [
                    *({"learning_rate": lr} for lr in (2.5e-3, 5e-3, 1e-2, 2e-2, 4e-2)),
                    {"schedule": "cosine"},
                    {"schedule": "constant", "learning_rate": 5e-3},
                    {"weight_std": 0.0125},
                    {"weight_std": 0.2},
                    {"start": "orthogonal"},
                    {"gates": "near identity"},
                    {"activation": "leaky_relu"},
                    {"activation": "identity"},
                    {"clip": 1.0},
                ]
            ],
            seeds=1,
        ),
    }


@functools.cache
def mnist():
    return ta.load_data("mnist")


def run(config):
    """Train one network; what came of it."""
    start, data = time.perf_counter(), mnist()
    model = ta.models.fc2(rng=config["seed"])
    if config["layer"] == "frozen":
        model = ta.compress(model, {"fc1": ta.Frozen}, rng=config["seed"])
    elif config["layer"] == "adtn":
        model = encoded(model, config, data)
    options = ("epochs", "batch_size", "learning_rate", "seed", "schedule", "clip")
    plan = {k: config[k] for k in options if k in config}
    losses = []
    validation = []
    for step in ta.train(model, data, **plan):
        losses.append(step.loss)
        if step.validation:
            validation.append(round(step.validation.accuracy, 5))
    stored = {row.name: row.counts.stored for row in ta.report(model).rows}
    return {
        "stored": stored["fc1.weight"],
        "validation": validation,
        "test": ta.evaluate(model, data.test).accuracy,
        "last_loss": statistics.fmean(losses[-100:]),
        "seconds": round(time.perf_counter() - start, 1),
        "numpy": np.__version__,
    }


def encoded(model, config, data):
    """The model with fc1 an ADTN, started as the config says."""
    options = {
        k: config[k] for k in ("depth", "order", "axes", "activation", "start") if k in config
    }
    if "fit_steps" in config:  # a dense network has to be trained first; its steps are not counted
        plan = {"epochs": 10, "batch_size": 256, "learning_rate": 1e-3, "seed": config["seed"]}
        for _ in ta.train(model, data, **plan):
            pass
    small = ta.compress(model, {"fc1": ta.ADTN.like(**options)}, rng=config["seed"])
    if "fit_steps" in config:
        ta.fit(small, model, steps=config["fit_steps"], learning_rate=0.05, show_progress=False)
    restart(small.fc1.weight, config)
    return small


def restart(weight, config):
    """Another start for the gates than N(0, 1/4), another spread for the decoded weight."""
    rng = np.random.default_rng(config["seed"])
    for column in weight.columns[1:]:
        if config.get("gates") == "near identity":
            noise = 0.1 * rng.standard_normal(column.shape, dtype=np.float32)
            column.data = np.eye(4, dtype=np.float32) + noise
    if "gates" in config or "weight_std" in config:
        wanted = config.get("weight_std", math.sqrt(2 / 784))
        now = float(weight.decode().numpy().std())
        weight.scale = ta.Tensor(weight.scale.data * np.float32(wanted / now))


if __name__ == "__main__":
    main(RESULTS, sets(), run)
