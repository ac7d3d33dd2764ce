"""How time and memory grow with Q, M, batch and image size, and the limits of this machine.

    python tests/bench/growth.py measure          # 5 minutes; writes data/results/growth.json
    python tests/bench/growth.py measure batch    # one axis again: Q, M, batch or "image size"
    python tests/bench/growth.py draw             # data/results/growth.png from it

Every point is a fresh process. Time is the median of its steps; memory is how far the peak of the
process rises above what it was before the first step. Contraction: forward and backward, float32,
relu. Networks: a training step with SGD; "VGG-16's convolutions" are its table up to the last pool.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from side_by_side import as_on_a_users_machine

import tinyadtn as ta
from tinyadtn.draw import style as draw_style
from tinyadtn.tensor_networks.fast import fast_wall

RESULTS = Path(__file__).parents[2] / "data" / "results"
SECONDS, FEWEST = 2.0, 3

POINTS = {  # (axis of the picture, series): what to call with each x
    ("Q", "M=1"): [("contraction", q, 1) for q in range(14, 27, 2)],
    ("Q", "M=2"): [("contraction", q, 2) for q in range(14, 25, 2)],
    ("Q", "M=4"): [("contraction", q, 4) for q in range(14, 25, 2)],
    ("M", "Q=18"): [("contraction", 18, m) for m in (1, 2, 4, 8, 16)],
    ("M", "Q=21"): [("contraction", 21, m) for m in (1, 2, 4, 8)],
    ("batch", "LeNet-5"): [("lenet5", 28, n) for n in (16, 32, 64, 128, 256, 512, 1024)],
    ("batch", "VGG-16, 32×32"): [("vgg16", 32, n) for n in (4, 8, 16, 32, 64)],
    ("image size", "VGG-16's convolutions, 4 images"): [
        ("convolutions", size, 4) for size in (32, 64, 128, 224)
    ],
}


# --- one point -----------------------------------------------------------------------------------


def contraction(num_sites: int, depth: int):
    """The step, and the time it cannot be faster than."""
    rng = np.random.default_rng([num_sites, depth])
    wall = ta.ADTN((2 ** (num_sites // 2), 2 ** ((num_sites + 1) // 2)), depth)  # shapes only
    columns = [rng.normal(0, 0.5, c.shape).astype(np.float32) for c in wall.columns]
    g = rng.normal(size=2**num_sites).astype(np.float32)

    def step() -> None:
        fast_wall.tensor_and_backward(columns, num_sites, "relu")[1](g)

    return step, {"passes": 2}  # T is written and dL/dT is read, whatever the depth


def network(name: str, image_size: int, batch: int):
    """The step, and the multiply-adds that it cannot do without."""
    model = ta.models.lenet5(rng=0) if name == "lenet5" else ta.models.vgg16(rng=0)
    shape = (model.config["channels"], image_size, image_size)
    if name == "convolutions":
        layers = dict(model.layers())
        names = list(layers)
        model = ta.Sequential(**{n: layers[n] for n in names[: names.index("flatten")]})
    rng = np.random.default_rng(0)
    images = rng.random((batch, *shape), np.float32)
    optimizer = ta.SGD(model.parameters(), 0.01)

    def step() -> None:
        y = model(images, training=True, rng=0)
        y = y.reshape(batch, -1)
        ta.softmax_cross_entropy(y, labels=np.zeros(batch, np.int64)).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step, {"multiply_adds": 3 * batch * model.multiply_adds(shape)}


def measure_point(kind: str, first: int, second: int) -> None:
    step, limit = (
        contraction(first, second) if kind == "contraction" else network(kind, first, second)
    )
    before = peak_bytes(restart=True)
    step()  # warms up
    seconds: list[float] = []
    while len(seconds) < FEWEST or (sum(seconds) < SECONDS and len(seconds) < 50):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    more = peak_bytes() - before
    print(json.dumps({"seconds": statistics.median(seconds), "bytes": more, **limit}))


def peak_bytes(restart: bool = False) -> int:
    """The most memory this process has had, on Linux; from now on, if it is told to start again."""
    if restart:
        Path("/proc/self/clear_refs").write_text("5")
    line = next(s for s in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in s)
    return 1024 * int(line.split()[1])


# --- all of them ---------------------------------------------------------------------------------


def machine_limits() -> dict[str, float]:
    """Seconds to copy one float (``np.copyto``), and for one multiply-add of a large product."""
    source, target = np.ones(2**24, np.float32), np.empty(2**24, np.float32)
    square = np.ones((2048, 2048), np.float32)
    best: dict[str, float] = {}
    for _ in range(10):
        for name, call, count in (
            ("a_float_copied", lambda: np.copyto(target, source), 2**24),
            ("a_multiply_add", lambda: square @ square, 2048**3),
        ):
            start = time.perf_counter()
            call()
            taken = (time.perf_counter() - start) / count
            best[name] = min(taken, best.get(name, taken))
    return best


def measure(axes: list[str]) -> None:
    """All points, or those of some axes anew and the others as they are in the file."""
    file = RESULTS / "growth.json"
    kept = json.loads(file.read_text())["points"] if axes else []
    points = [point for point in kept if point["axis"] not in axes]
    for (axis, series), calls in POINTS.items():
        if axes and axis not in axes:
            continue
        for call in calls:
            command = [sys.executable, __file__, "point", *map(str, call)]
            said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            x = {"Q": call[1], "image size": call[1]}.get(axis, call[2])
            point = {"axis": axis, "series": series, "x": x, "call": call, **json.loads(said)}
            points.append(point)
            print(f"{axis} {x}, {series}: {point['seconds'] * 1e3:.3g} ms", flush=True)
    limits = machine_limits()
    file.write_text(json.dumps({"limits": limits, "points": points}, indent=1) + "\n")


# --- the picture ---------------------------------------------------------------------------------


def limit_of(point: dict, limits: dict[str, float]) -> float:
    """The least time for a point, by memory traffic or by multiply-adds."""
    if "passes" in point:
        return point["passes"] * 2 ** point["call"][1] * limits["a_float_copied"]
    return point["multiply_adds"] * limits["a_multiply_add"]


def draw() -> None:
    found = json.loads(RESULTS.joinpath("growth.json").read_text())
    points, limits = found["points"], found["limits"]
    figure = draw_style.new_figure(
        14, 6.5, "Time and memory against Q, M, batch and image size, with the machine's limits"
    )
    axes = figure.subplots(2, 4)
    for column, axis in enumerate(dict.fromkeys(axis for axis, _ in POINTS)):
        time_axes, memory_axes = axes[:, column]
        for k, series in enumerate(dict.fromkeys(p["series"] for p in points if p["axis"] == axis)):
            line = [p for p in points if (p["axis"], p["series"]) == (axis, series)]
            colour, style, marker = draw_style.SERIES[k]
            x = [p["x"] for p in line]
            look = {"color": colour, "linestyle": style, "marker": marker, "markersize": 4}
            time_axes.plot(x, [1e3 * p["seconds"] for p in line], **look, label=series)
            memory_axes.plot(x, [p["bytes"] / 2**20 for p in line], **look, label=series)
            grey = {"color": draw_style.REFERENCE, "linewidth": 1, "linestyle": (0, (1, 1))}
            if axis != "Q" or k == 0:
                least = [1e3 * limit_of(p, limits) for p in line]
                time_axes.plot(x, least, **grey, label="limit" if k == 0 else None)
            if axis == "Q" and k == 0:
                memory_axes.plot(
                    x, [2 ** p["x"] * 4 / 2**20 for p in line], **grey, label="T alone"
                )
        for panel, what in ((time_axes, "time, ms"), (memory_axes, "memory, MiB")):
            panel.set(xlabel=axis, yscale="log", ylabel=what if column == 0 else "")
            panel.set_xscale("linear" if axis == "Q" else "log")
            panel.set_xticks(ticks := sorted({p["x"] for p in points if p["axis"] == axis}))
            panel.set_xticklabels(map(str, ticks), fontsize=8)
            panel.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)
            panel.grid(alpha=0.3)
            above = {"loc": "lower left", "bbox_to_anchor": (-0.1, 1), "ncols": 2}
            panel.legend(fontsize=8, frameon=False, columnspacing=1, **above)
    draw_style.save(figure, RESULTS / "growth.png")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["point", kind, first, second]:
            measure_point(kind, int(first), int(second))
        case ["measure", *axes]:
            as_on_a_users_machine()
            measure(axes)
        case ["draw"]:
            draw()
        case _:
            sys.exit(__doc__)
