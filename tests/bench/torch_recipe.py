"""Measure the recipe of docs/torch.md on trained networks: with a fit before the training, and not.

    python tests/bench/torch_recipe.py            # six networks, a few minutes on one thread

Each LeNet-5 is trained on the bundled digits, then ``fc1`` is encoded at depth 2 and trained on.
"""

from __future__ import annotations

import statistics

import tinyadtn as ta
from tinyadtn.progress import progress
from tinyadtn.tables import format_table

SEEDS = range(6)
EPOCHS, LEARNING_RATE = 5, 2e-2  # of the recipe


def trained(model: ta.Module, data: ta.Data, **plan) -> float:
    """Train the model; return its test accuracy in percent."""
    for _ in ta.train(model, data, **plan):
        pass
    return 100 * ta.evaluate(model, data.test).accuracy


def main() -> None:
    data = ta.load_data("mnist-5k")
    found: dict[str, list[float]] = {"dense": [], "without fit": [], "with fit": []}
    for seed in progress(SEEDS, total=len(SEEDS), label="LeNet-5"):
        model = ta.models.lenet5(rng=seed)
        found["dense"].append(trained(model, data, epochs=10, learning_rate=2e-3, seed=seed))
        for name in ("without fit", "with fit"):
            small = ta.compress(model, {"fc1": 2}, rng=seed)
            if name == "with fit":
                ta.fit(small, model, steps=200, show_progress=False)
            plan = {"epochs": EPOCHS, "learning_rate": LEARNING_RATE, "seed": seed}
            found[name].append(trained(small, data, **plan))
    rows = [
        [name, f"{statistics.fmean(values):.1f} %", f"{min(values):.1f} %"]
        for name, values in found.items()
    ]
    print(format_table([["fc1", "mean test accuracy", "lowest"], *rows]))


if __name__ == "__main__":
    main()
