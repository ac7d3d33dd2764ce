"""How the weight of an ADTN collapses during training, and how the normalized one does not.

OPENBLAS_NUM_THREADS=1 python tests/bench/collapse.py    # half a minute; writes collapse.json
python tests/bench/collapse.py --table                   # the share of diverged runs, in short
python tests/bench/collapse.py --table rates             # by depth and learning rate
python tests/bench/collapse.py --table factored          # of tensor trains, low rank and Tucker
python tests/bench/collapse.py --conv2                   # a run that ends at chance; remedies
python tests/bench/collapse.py --plot FILE               # draws what is in collapse.json

FC-2 on the bundled digits, ``fc1`` an ADTN of depth 4: 5 epochs, peak learning rate 8e-2. Which
seeds collapse depends on rounding, so another machine may collapse with other ones.
"""

from __future__ import annotations

import json
import math
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import tinyadtn as ta
from tinyadtn.draw.style import new_figure, save, styles
from tinyadtn.studies.results import read_records
from tinyadtn.tables import format_markdown
from tinyadtn.training.runs import versions

RESULTS = Path(__file__).parents[2] / "data" / "results"
FILE = RESULTS / "collapse.json"
STUDIES = {
    "FC-2, `fc1`": "fc1_stability",
    "LeNet-5, linear layers": "lenet5_stability",
    "LeNet-5, `conv2`": "conv2_stability",
}
RUNS = [(False, 0), (False, 1), (False, 2), (True, 0)]  # (normalized, seed)
DEPTH, PEAK = 4, 8e-2
Rows = defaultdict[tuple[str, ...], defaultdict[str, list[bool]]]
CHANCE = 0.2  # a run with a smaller validation accuracy has diverged: chance is 0.1


def measured(normalized: bool, seed: int) -> dict[str, Any]:
    """One run: the loss of every step, and after it the norms of the weight and of the gates."""
    encoding = ta.ADTN.like(DEPTH, axes=(256, (28, 28)), normalized=normalized)
    model = ta.compress(ta.models.fc2(rng=seed), {"fc1": encoding}, rng=seed)
    weight, plan = model.fc1.weight, {"epochs": 5, "batch_size": 256, "learning_rate": PEAK}
    steps = []
    with np.errstate(all="ignore"):
        try:
            for step in ta.train(model, ta.load_data("mnist-5k"), seed=seed, **plan):
                steps.append((step.loss, *norms(weight)))
        except ta.errors.NonFiniteError as error:
            print(error)
    names = ("loss", "weight", "gate")
    return {"normalized": normalized, "seed": seed, **dict(zip(names, zip(*steps)))}


def norms(weight: ta.ADTN) -> tuple[float, float]:
    """The norm of the decoded weight, and the geometric mean of the norms of its gates."""
    gates = [gate for column in weight.columns for gate in column.numpy().astype(np.float64)]
    with ta.no_grad():
        decoded = weight.decode().numpy()
    logs = [math.log(np.linalg.norm(gate)) for gate in gates]
    return float(np.linalg.norm(decoded)), math.exp(sum(logs) / len(logs))


def picture(runs: list[dict[str, Any]]) -> Any:
    figure = new_figure(
        6.4,
        7.2,
        "Three curves over the steps of four runs: the norm of the weight falls to nothing in the "
        "run that collapses, swings in the other plain runs, hardly moves in the normalized one; "
        "the gates of the run that collapses shrink by a seventh; its loss stays at ln 10.",
    )
    axes = figure.subplots(3, sharex=True)
    for run, style in zip(runs, styles(len(runs))):
        label = f"{'normalized' if run['normalized'] else 'plain'}, seed {run['seed']}"
        for axis, key in zip(axes, ("weight", "gate", "loss")):
            steps = range(1, len(run[key]) + 1)
            axis.plot(steps, run[key], **{**style, "marker": None}, label=label)
    axes[0].set(yscale="log", ylabel="norm of the weight")
    axes[1].set(ylabel="mean norm of a gate")
    axes[2].axhline(math.log(10), color="#666666", linewidth=0.8)
    axes[2].text(70, 2.55, "chance, ln 10", ha="right", color="#666666")
    axes[2].set(yscale="log", ylabel="loss of the batch", xlabel="step")
    axes[0].legend()
    return figure


def dying_filters(**remedy: float) -> str:
    """The normalized run of ``conv2_stability.toml`` that ends at chance, at some of its steps."""
    model = ta.compress(ta.models.lenet5(rng=2), {"conv2": ta.ADTN.like(8)}, rng=2)
    plan = {"epochs": 3, "batch_size": 128, "learning_rate": 8e-2, **remedy}
    data = ta.load_data("mnist-5k")
    rows = [["step", "loss", "norm of W", "features above 0"]]
    for step in ta.train(model, data, seed=2, **plan):
        if step.step in (1, 14, 28, 42, 56):
            norm, _ = norms(model.conv2.weight)
            features = ta.features(model, "fc1", data, show_progress=False).validation.images
            above = (features > 0).mean()
            rows.append([str(step.step), f"{step.loss:.2f}", f"{norm:.1f}", f"{above:.2f}"])
    reached = ta.evaluate(model, data.validation).accuracy
    return f"{remedy}: validation {reached:.1%}\n\n{format_markdown(rows)}\n"


def outcomes(study: str) -> Iterator[tuple[dict[str, Any], bool]]:
    """Every run of a study that is done, and whether it has diverged."""
    for record in read_records(RESULTS / f"{study}.jsonl").values():
        yield record, record["status"] == "failed" or record["validation"] < CHANCE


def table(rows: Rows, heads: Sequence[str]) -> str:
    """A row for each key, and for each column how many of its runs have diverged."""
    columns = list(next(iter(rows.values())))
    cells = [
        [*key, *(f"{sum(found[c])} of {len(found[c])}" if found[c] else "" for c in columns)]
        for key, found in rows.items()
    ]
    return format_markdown([[*heads, *columns], *cells])


def divergence(by_rate: bool) -> str:
    """For each study: the diverged runs of plain and of normalized ADTNs."""
    rows: Rows = defaultdict(lambda: defaultdict(list))
    for title, study in STUDIES.items():
        runs = []
        for record, diverged in outcomes(study):
            rate = record["config"]["learning_rate"]
            for options in record["config"].get("encode", {}).values():
                if options["encoding"] == "ADTN":
                    runs.append((options["normalized"], options["depth"], rate, diverged))
        for normalized, depth, rate, diverged in sorted(runs):
            key = (title, "normalized" if normalized else "plain")
            if by_rate:
                rows[(*key, str(depth))][f"{rate:g}"].append(diverged)
            else:
                for column, counts in (("all", True), ("M ≤ 8", depth <= 8), ("M = 16", depth > 8)):
                    rows[key][column] += [diverged] * counts
    return table(rows, ["layers", "parametrization", *(["M"] if by_rate else [])])


def divergence_of_factored() -> str:
    """For each row of the study of other encodings: its diverged runs."""
    rows: Rows = defaultdict(lambda: defaultdict(list))
    for record, diverged in outcomes("factored_stability"):
        rate = f"{record['config']['learning_rate']:g}"
        method = record["label"].replace(f" learning_rate={rate}", "")
        rows[(method,)][rate].append(diverged)
    return table(rows, [""])


if __name__ == "__main__":
    if sys.argv[1:2] == ["--table"]:
        tables = {"rates": lambda: divergence(True), "factored": divergence_of_factored}
        print(tables[sys.argv[2]]() if sys.argv[2:] else divergence(False))
    elif sys.argv[1:] == ["--conv2"]:
        print(dying_filters(), dying_filters(learning_rate=4e-2), dying_filters(clip=1.0), sep="\n")
    elif sys.argv[1:2] == ["--plot"]:
        save(picture(json.loads(FILE.read_text(encoding="utf-8"))["runs"]), sys.argv[2])
    else:
        found = {"runs": [measured(*run) for run in RUNS], "versions": versions()}
        FILE.write_text(json.dumps(found) + "\n", encoding="utf-8")
