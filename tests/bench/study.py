"""What every study does: run what is not done yet, append each result as it ends, print a table."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "data" / "results"
Config = dict[str, Any]


def with_seeds(configs: list[Config], seeds: int = 3) -> list[Config]:
    """Every config with the seeds 0, 1, …"""
    return [{**config, "seed": seed} for seed in range(seeds) for config in configs]


def main(
    results: Path, sets: dict[str, list[Config]], run: Callable[[Config], dict[str, Any]]
) -> None:
    """``SET …`` runs these sets, ``--table SET …`` prints what is done of them."""
    names = [name for name in sys.argv[1:] if name != "--table"]
    if not names or not set(names) <= sets.keys():
        sys.exit(f"name sets, of {', '.join(sets)}; with --table first, their results are printed")
    configs = [config for name in names for config in sets[name]]
    if "--table" in sys.argv:
        _print_table(results, configs)
    else:
        _run_missing(results, configs, run)


def _run_missing(
    results: Path, configs: list[Config], run: Callable[[Config], dict[str, Any]]
) -> None:
    results.parent.mkdir(parents=True, exist_ok=True)
    finished = [result["config"] for result in _done(results)]
    configs = [config for config in configs if config not in finished]
    for k, config in enumerate(configs, start=1):
        result = run(config)
        with results.open("a") as file:
            file.write(json.dumps({"config": config, **result}) + "\n")
        accuracy, seconds = 100 * result["test"], result["seconds"]
        print(f"{k}/{len(configs)} {config} {accuracy:.2f} % {seconds} s", flush=True)


def _done(results: Path) -> list[dict[str, Any]]:
    if not results.exists():
        return []
    return [json.loads(line) for line in results.read_text().splitlines()]


def _print_table(results: Path, configs: list[Config]) -> None:
    """One line for each config: stored numbers, validation and test accuracy over the seeds."""
    done = _done(results)
    lines: dict[str, list] = {}
    for k, config in enumerate(configs):
        if config in configs[:k]:  # two sets share some runs
            continue
        label = ", ".join(f"{k} {v}" for k, v in config.items() if k != "seed")
        lines.setdefault(label, []).extend(r for r in done if r["config"] == config)
    for label, rows in lines.items():
        if rows:
            test = [100 * r["test"] for r in rows]
            valid = statistics.fmean(100 * r["validation"][-1] for r in rows)
            spread = f" ± {statistics.stdev(test):.2f}" if len(test) > 1 else ""
            print(
                f"{rows[0]['stored']:>10,}  validation {valid:.2f}  "
                f"test {statistics.fmean(test):.2f}{spread} (n={len(test)})  {label}"
            )
