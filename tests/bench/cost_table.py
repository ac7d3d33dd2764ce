"""The tables of ``bench_cost.py`` as Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tinyadtn.tables import format_markdown

SLOWER = 1.1  # times the dense layers' time: from here on it is said
SMALL, LARGE = "batch 1", "batch 128"
WAYS = ("decoded", "at hand", "decode-free")
ONES = ("decoded", "decode-free")  # the two that a layer chooses between
CHOICE = "Where the layers choose the slower of decoded and decode-free"
DENSE, NONE = "dense", "–"


def tables(results: dict[str, Any]) -> str:
    """Where an encoding costs time, then all that was counted, then all that was timed."""
    networks = list(results["networks"])
    slower = [[what, *found] for what, found in slower_than_dense(results)]
    text = "\n\n".join(
        [
            "Slower than the dense layers by 10 % or more:",
            format_markdown([["", *networks], *slower], left=1 + len(networks)),
            f"{CHOICE}: {'; '.join(slower_choices(results)) or 'none'}.",
            format_markdown([["", "", *COUNTED], *rows_of(results, counted_cells)], left=2),
            format_markdown([["", "", *TIMED], *rows_of(results, timed_cells)], left=2),
            measured_with(results),
        ]
    )
    return text.replace("at hand", "precomputed")  # the file of results has the older name


def slower_than_dense(results: dict[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """(what was done, for each network what is slower), even in the faster of two ways."""
    for what, ways in (
        ("a training step, batch 128", [f"{LARGE}, step"]),
        ("weights at hand, batch 128", [f"{LARGE}, at hand"]),
        ("weights at hand, batch 1", [f"{SMALL}, at hand"]),
        ("decoded or decode-free, batch 128", [f"{LARGE}, decoded", f"{LARGE}, decode-free"]),
        ("decoded or decode-free, batch 1", [f"{SMALL}, decoded", f"{SMALL}, decode-free"]),
    ):
        found = []
        for measured in results["networks"].values():
            best = {
                row["encoding"]: min(
                    row["times"][way]["times_dense"] for way in ways if way in row["times"]
                )
                for row in measured["rows"]
                if row["encoding"] != DENSE
            }
            slow = [f"{name} {digits(x)}×" for name, x in best.items() if x >= SLOWER]
            found.append(", ".join(slow) or NONE)
        yield what, found


def slower_choices(results: dict[str, Any]) -> Iterator[str]:
    """Where all layers take one way by themselves, and the other is faster by a tenth or more."""
    for network, measured in results["networks"].items():
        for row in measured["rows"]:
            for batch in (SMALL, LARGE):
                ways = {row["times"].get(f"{batch}, {way}", {}).get("ms"): way for way in ONES}
                own = set(row["chosen"][batch].values())
                if None in ways or len(own) > 1:
                    continue
                (slow, fast), way = (max(ways), min(ways)), own.pop()
                if ways[slow] == way and slow >= SLOWER * fast:
                    yield f"{network}, {row['encoding']}, {batch} ({way}, {digits(slow / fast)}×)"


def measured_with(results: dict[str, Any]) -> str:
    """On what, and how often at least."""
    told = results["versions"]
    rounds = min(
        time["rounds"]
        for measured in results["networks"].values()
        for row in measured["rows"]
        for time in row["times"].values()
    )
    return (
        f"(NumPy {told['numpy']}, Python {told['python']}, {told['cores']} cores, BLAS threads: "
        f"{told['blas_threads']}; medians of {rounds} rounds or more; {told['load']:.1f} processes "
        "waiting or running at the start.)"
    )


# --- the cells -----------------------------------------------------------------------------------

COUNTED = [
    *("parameters", "bytes", "as `.npz`", "to decode", "to build the factors"),
    *("decode-free, per image", "peak memory of a step, MiB"),
]
TIMED = [*(f"{batch}, {way}" for batch in (SMALL, LARGE) for way in WAYS), "training step, ms"]


def counted_cells(row: dict[str, Any]) -> list[str]:
    """What is stored, the multiply-adds, and the memory of a training step."""
    dense, free = row["encoding"] == DENSE, row["apply"] is not None
    return [
        f"{row['stored']:,}",
        f"{4 * row['stored']:,}",
        f"{row['npz_bytes']:,}",
        NONE if dense else f"{row['decode']:,}",
        f"{row['build']:,}" if free and not dense else NONE,
        f"{row['apply']:,}" if free else NONE,
        f"{row['peak_bytes'] / 2**20:.1f}",
    ]


def timed_cells(row: dict[str, Any]) -> list[str]:
    """Microseconds for an image, milliseconds for a step, and the ratio to the dense layers."""
    cells = []
    for batch, images in ((SMALL, 1), (LARGE, 128)):
        for way in WAYS:
            cells.append(_time(row, f"{batch}, {way}", 1e3 / images))
    return [*cells, _time(row, f"{LARGE}, step", 1)]


def _time(row: dict[str, Any], what: str, unit: float) -> str:
    found = row["times"].get(what)
    if found is None:
        return NONE
    said, ratio = digits(found["ms"] * unit), found["times_dense"]
    if row["encoding"] == DENSE:
        return said
    told = f"{said} ({digits(ratio)}×)"
    return f"**{told}**" if ratio >= SLOWER else told


def digits(x: float) -> str:
    """Three digits, or all before the point."""
    return f"{x:,.0f}" if x >= 99.95 else f"{x:#.3g}"


def rows_of(results: dict[str, Any], cells: Any) -> Iterator[list[str]]:
    """A line for each encoding, the first of a network with its name and shapes."""
    for network, measured in results["networks"].items():
        shapes = ", ".join(f"{i}→{o}" for o, i in measured["shapes"].values())
        said = f"{network}: {shapes}"
        for row in measured["rows"]:
            yield [said, row["encoding"], *cells(row)]
            said = ""
