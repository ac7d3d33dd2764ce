"""Networks trained for hours: those whose features the head studies use, and VGG-16 end to end.

TINYADTN_DATA=FOLDER python tests/bench/trained_networks.py runs/*/best.npz   # a minute or two;
                                                                             # adds to trained.json
python tests/bench/trained_networks.py --table                 # prints what stands there
python tests/bench/trained_networks.py --vgg16-epochs 6        # of vgg16_end_to_end: 6 or 16 epochs

Each checkpoint is one of `tinyadtn train`; the test split is judged here.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import tinyadtn as ta
from tinyadtn.files.state import read_state
from tinyadtn.studies.results import read_records
from tinyadtn.tables import format_markdown
from tinyadtn.training.features import layers_before, sha256_of

FILE = Path(__file__).parents[2] / "data" / "results" / "trained.json"
BEFORE = "fc1"  # the first layer that a head has of its own


def record(path: str) -> dict[str, Any]:
    """What decided this network and how it went, as far as the checkpoint tells; its accuracy."""
    meta, model = read_state(path)[1], ta.load(path)
    if len(meta["training"]["history"]) != meta["plan"]["epochs"]:
        sys.exit(f"{path}: its weights are not those of the last epoch, which the table tells")
    test = ta.evaluate(model, ta.load_data(meta["data"]["name"]).test)
    return {
        "config": model.config,
        "plan": meta["plan"],
        "data": meta["data"],
        "versions": meta["versions"],
        "encoded": {
            row.name.removesuffix(".weight"): row.counts.stored
            for row in ta.report(model).rows
            if row.name.removesuffix(".weight") in model.config.get("encodings", {})
        },
        "features": {
            "before": BEFORE,
            "sha256": sha256_of(layers_before(model, BEFORE)),
        },
        "history": meta["training"]["history"],
        "test": test.accuracy,
    }


HEAD = [
    "",
    "hidden layers",
    "validation",
    "test",
    "optimizer",
    "epochs",
    "crops, flips",
    "peak rate",
    "last loss",
]


def table(records: list[dict[str, Any]]) -> str:
    return format_markdown([HEAD, *map(cells, records)])


def cells(record: dict[str, Any]) -> list[str]:
    plan, last = record["plan"], record["history"][-1]
    return [
        record["config"]["model"],
        hidden_layers(record),
        f"{last['validation_accuracy']:.2%}",
        f"{record['test']:.2%}",
        plan["optimizer"],
        f"{plan['epochs']}",
        "yes" if plan["augment"] else "no",
        f"{plan['learning_rate']:g}",
        f"{last['loss']:.2f}",
    ]


def hidden_layers(record: dict[str, Any]) -> str:
    """The widths of the hidden layers, and the parameters that they are encoded in."""
    widths = ", ".join(map(str, record["config"]["widths"])) or "none"
    if not (encoded := record.get("encoded")):
        return widths
    stored = sum(encoded.values())
    return f"{widths} in {stored:,}" if stored else f"{widths}, frozen"


def label(record: dict[str, Any]) -> str:
    """What became of the hidden layers."""
    if not record["config"]["widths"]:
        return "layers removed"
    if not (encoded := record.get("encoded")):
        return "dense"
    stored = sum(encoded.values())
    return f"{stored:,} parameters" if stored else "frozen"


def epochs(records: list[dict[str, Any]], number: int) -> str:
    """Validation accuracy after every epoch, of the VGG-16 that were trained for that many."""
    ours = [record for record in records if record["config"]["model"] == "vgg16"]
    runs = read_records(FILE.with_name("vgg16_end_to_end.jsonl")).values()
    histories = [
        *((label(record), record["history"]) for record in ours),
        *((run["label"], run["history"]) for run in runs),
    ]
    columns = [
        [name, *(f"{100 * epoch['validation_accuracy']:.1f}" for epoch in history)]
        for name, history in histories
        if len(history) == number
    ]
    return format_markdown([*zip(["epoch", *map(str, range(1, number + 1))], *columns)])


def main(words: list[str]) -> None:
    if words == ["--table"]:
        print(table(json.loads(FILE.read_text(encoding="utf-8"))))
        return
    if len(words) == 2 and words[0] == "--vgg16-epochs":
        print(epochs(json.loads(FILE.read_text(encoding="utf-8")), int(words[1])))
        return
    if not words or words[0].startswith("-"):
        sys.exit(__doc__)
    known = {each["features"]["sha256"]: each for each in json.loads(FILE.read_text("utf-8"))}
    known |= {each["features"]["sha256"]: each for each in map(record, words)}
    records = list(known.values())
    FILE.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
    print(table(records))


if __name__ == "__main__":
    main(sys.argv[1:])
