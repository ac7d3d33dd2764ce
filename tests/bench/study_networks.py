"""LeNet-5 on full MNIST, and one epoch of AlexNet, ZFNet and VGG-16 on CIFAR-10.

    TINYADTN_DATA=FOLDER python tests/bench/study_networks.py SET [SET …]   run what is not done
    python tests/bench/study_networks.py --table SET [SET …]                print what is done

Sets: rates (LeNet-5, 2 epochs, one seed: the learning rate of every method, chosen on validation),
lenet5 (8 epochs, 3 seeds), and cifar-alexnet-dense, cifar-alexnet-encoded, the same for zfnet and
vgg16: one epoch, dense or with fc1 and fc2 encoded at M=1. Every run is appended to
data/results/networks.jsonl as it ends, so a stopped study goes on where it was. Peak memory is the
process's: run one cifar set a process to have its own. Test accuracy is measured once a run, after
its last step; nothing was chosen by it.
"""

from __future__ import annotations

import functools
import os
import resource
import statistics
import time

import numpy as np
from study import FOLDER, main, with_seeds

import tinyadtn as ta
from tinyadtn.experiment import build_for

RESULTS = FOLDER / "networks.jsonl"
LENET5 = {"data": "mnist", "network": "lenet5", "batch_size": 256}
LINEAR = ["fc1", "fc2", "fc3"]
RATES = (2e-3, 5e-3, 1e-2, 2e-2, 4e-2, 8e-2)
# What is encoded, and how: the rows of the table for LeNet-5.
METHODS = {
    "dense": {"layers": []},
    **{
        f"adtn {'+'.join(layers)} M={depth} {'image' if structure else ''}": {
            "layers": layers,
            "encoding": "adtn",
            "depth": depth,
            **structure,
        }
        # With "image", fc1's 400 inputs are 16 channels of 5×5, with sites of their own.
        for structure in ({}, {"structure": "image"})
        for layers in (["fc1"], LINEAR, ["conv2", "fc1"])
        for depth in (2, 4)
    },
    "mpo": {"layers": LINEAR, "encoding": "mpo"},
    "low rank": {"layers": LINEAR, "encoding": "low rank"},
    **{
        f"frozen {'+'.join(layers)}": {"layers": layers, "encoding": "frozen"}
        for layers in (["fc1"], LINEAR, ["conv2", "fc1"])
    },
}
# The peak of each method's one cycle: of RATES the best on validation in the set `rates`, over the
# method's rows together. ADTNs are best at 2e-2, for at 4e-2 two of their six rows are lost, and at
# 8e-2 five. Tensor trains and frozen weights are best at the edge, but not all of their rows: they
# are run at both, and of each row the one that is better on validation counts.
CHOSEN = {
    None: [1e-2],
    "adtn": [2e-2],
    "mpo": [4e-2, 8e-2],
    "low rank": [4e-2],
    "frozen": [4e-2, 8e-2],
}


def sets():
    rows = {name: {**LENET5, **method} for name, method in METHODS.items()}
    cifar = {
        f"cifar-{network}-{kind}": [
            {
                "data": "cifar10",
                "network": network,
                "batch_size": 128,
                "epochs": 1,
                "learning_rate": 1e-3,
                "layers": layers,
                **({"encoding": "adtn", "depth": 1} if layers else {}),
                "seed": 0,
            }
        ]
        for network in ("alexnet", "zfnet", "vgg16")
        for kind, layers in (("dense", []), ("encoded", ["fc1", "fc2"]))
    }
    return {
        "rates": with_seeds(
            [
                {**row, "epochs": 2, "learning_rate": rate}
                for row in rows.values()
                for rate in RATES
            ],
            seeds=1,
        ),
        "lenet5": with_seeds(
            [
                {**row, "epochs": 8, "learning_rate": rate}
                for row in rows.values()
                for rate in CHOSEN[row.get("encoding")]
            ]
        ),
        **cifar,
    }


def recipes(config):
    """What ``compress`` is told for each layer."""
    if not config["layers"]:
        return {}
    if config["encoding"] == "adtn":
        recipes = dict.fromkeys(config["layers"], ta.ADTN.like(config["depth"]))
        if "structure" in config:
            recipes["fc1"] = ta.ADTN.like(config["depth"], axes=(120, (16, 5, 5)))
        return recipes
    if config["encoding"] == "frozen":
        return dict.fromkeys(config["layers"], ta.Frozen)
    if config["encoding"] == "low rank":  # 2,880 numbers, as near to the MPO's 2,860 as it goes
        return {name: ta.LowRank.like(rank) for name, rank in zip(LINEAR, (4, 3, 2))}
    modes = [(2, 10, 10, 2), (2, 5, 6, 2), (2, 3, 7, 2), (1, 5, 2, 1)]  # Gao et al. (2020)
    return {
        name: ta.TensorTrain.like((outputs, inputs), bond)
        for name, inputs, outputs, bond in zip(LINEAR, modes, modes[1:], (4, 4, 2))
    }


load = functools.cache(ta.load_data)


def run(config):
    """Train one network; what came of it."""
    data, seed = load(config["data"]), config["seed"]
    model = build_for(data, config["network"], seed)
    if config["layers"]:
        model = ta.compress(model, recipes(config), rng=seed)
    losses, validation = [], []
    plan = {k: config[k] for k in ("epochs", "batch_size", "learning_rate", "seed")}
    start = time.perf_counter()
    for step in ta.train(model, data, **plan):
        losses.append(step.loss)
        if step.validation:
            validation.append(round(step.validation.accuracy, 5))
        elif step.step % 50 == 0 and config["data"] == "cifar10":
            print(f"{config['network']} step {step.step}/{step.total} loss {step.loss:.3f}")
    seconds = time.perf_counter() - start
    tenth = max(1, len(losses) // 10)
    stored = {row.name: row.counts.stored for row in ta.report(model).rows}
    return {
        "stored": sum(stored[f"{name}.weight"] for name in config["layers"]),
        "parameters": model.num_parameters,
        "validation": validation,
        "test": ta.evaluate(model, data.test).accuracy,
        "losses": [  # the mean over each tenth of the run
            round(statistics.fmean(losses[i : i + tenth]), 4) for i in range(0, len(losses), tenth)
        ],
        "seconds": round(seconds, 1),
        "images_per_second": round(config["epochs"] * len(data.train) / seconds, 1),
        "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "blas_threads": os.environ.get("OPENBLAS_NUM_THREADS", "as BLAS chooses"),
        "numpy": np.__version__,
    }


if __name__ == "__main__":
    main(RESULTS, sets(), run)
