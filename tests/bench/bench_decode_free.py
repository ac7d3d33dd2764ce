"""Layers applied without forming W, against dense ones: factors precomputed, and training.

python tests/bench/bench_decode_free.py              # all rows
python tests/bench/bench_decode_free.py linear       # rows whose name has this word

Sides are the dense layer here, the dense layer of torch, and the layer as ``ta.decoded`` gives it;
for ADTNs also the layer that computes its factors for every batch ("encoded"). float32, with bias,
images lie in memory as the layer before leaves them. Each side is repeated for 20 ms before it is
the next one's turn, and then all rest for 30 ms: torch's threads wait for work by spinning, which
would slow whoever comes next. Results are compared first, with the dense layer of the decoded
weight. The last table is a training step.
"""

import sys
import time

import numpy as np
from side_by_side import (
    as_on_a_users_machine,
    difference,
    milliseconds,
    peer,
    print_row,
    ratio,
    rounds,
)

import tinyadtn as ta

OUTPUT_FIRST = ta.ADTN.like(1, order="output_first")
INTERLEAVED = ta.ADTN.like(1, order="interleaved")
LINEAR = {
    "ADTN M=1, output first": OUTPUT_FIRST,
    "ADTN M=1, interleaved": INTERLEAVED,
    "low rank r=64": ta.LowRank.like(64),
    "tensor train D=4": ta.TensorTrain.like(((16, 16, 16), (16, 16, 16)), 4),
}
CONV = {
    "ADTN M=1, output first": OUTPUT_FIRST,
    "ADTN M=1, interleaved": INTERLEAVED,
    "low rank r=64": ta.LowRank.like(64),
    "Tucker 64×64": ta.Tucker.like(64),
    "tensor train D=4": ta.TensorTrain.like(((8, 8, 8), (16, 16, 18)), 4),
}
NAMES = {"decoded": "decoded", "ConvChain": "row", "WallChain": "chain", "Chain": "chain"}
SECONDS = 3.0
HEAD = ["", "dense, ms", "torch", "at hand", "dense ÷", "torch ÷", "encoded", "dense ÷"]
WIDTHS = [60, 22, 22, 24, 9, 9, 24, 9]


def steadily(side):
    """The side, repeated for about 20 ms so that a small one runs as it does in a loop of its own.

    Returned with the number of calls, by which its seconds are divided.
    """
    start = time.perf_counter()
    side()
    count = max(1, round(0.02 / (time.perf_counter() - start)))

    def repeated():
        for _ in range(count):
            side()

    return repeated, count


def inference(name, dense, weight, x, torch_layer):
    """One row: the same layer dense, in torch, with its factors at hand, and encoded."""
    with ta.no_grad():
        dense.weight = weight.decode().detach()
    encoded = ta.Sequential(layer=with_weight(dense, weight))
    wanted = dense(x).data
    with ta.decoded(encoded) as ready:
        held = ready.layer.weight
        route = "decoded" if isinstance(held, ta.Tensor) else type(held.route).__name__
        sides = {
            "dense": lambda: dense(x),
            "torch": torch_layer(dense, x),
            "at hand": lambda: ready.layer(x),
            "encoded": lambda: encoded.layer(x),
        }
        for side in sides.values():
            result = None if side is None else side()
            if result is not None:
                error = difference([np.asarray(getattr(result, "data", result))], [wanted])
                assert error < 1e-3, f"{name}: {error:.1e}"
        repeated = {side: steadily(call) for side, call in sides.items() if call is not None}
        calls = {}
        for side, (call, _) in repeated.items():
            calls |= {side: call, f"rest after {side}": lambda: time.sleep(0.03)}
        seconds = rounds(calls, seconds=SECONDS, fewest=9)
        seconds = {side: seconds[side] / count for side, (_, count) in repeated.items()}
    print_row(cells(f"{name} ({NAMES[route]})", seconds), WIDTHS)


def cells(name, seconds):
    row = [name]
    for side in ("dense", "torch", "at hand"):
        row.append(milliseconds(seconds[side]) if side in seconds else "")
    for side in ("dense", "torch"):
        row.append(ratio(seconds[side], seconds["at hand"]) if side in seconds else "")
    return [*row, milliseconds(seconds["encoded"]), ratio(seconds["dense"], seconds["encoded"])]


def with_weight(layer, weight):
    twin = layer.copy()
    twin.weight = weight
    return twin


def linear_rows(torch):
    def torch_layer(dense, x):
        if torch is None:
            return None
        weight, bias, x = (torch.from_numpy(t.data) for t in (dense.weight, dense.bias, x))
        return lambda: torch.nn.functional.linear(x, weight, bias)

    for batch in (1, 128):
        for name, recipe in LINEAR.items():
            dense = ta.Linear(4096, 4096, rng=0)
            x = ta.Tensor(np.random.default_rng(1).normal(size=(batch, 4096)).astype(np.float32))
            weight = recipe((4096, 4096), rng=0)
            yield f"linear 4096×4096, batch {batch}: {name}", dense, weight, x, torch_layer


def conv_rows(torch):
    def torch_layer(dense, x):
        if torch is None:
            return None
        weight, bias = (torch.from_numpy(t.data) for t in (dense.weight, dense.bias))
        x = torch.from_numpy(np.ascontiguousarray(x.data))
        return lambda: torch.nn.functional.conv2d(x, weight, bias, padding=1)

    for size in (4, 16):
        for name, recipe in CONV.items():
            dense = ta.Conv2d(512, 512, 3, padding=1, rng=0)
            before = ta.Conv2d(8, 512, 1, rng=1)
            x = np.random.default_rng(1).normal(size=(32, 8, size, size)).astype(np.float32)
            with ta.no_grad():
                x = before(x)
            weight = recipe((512, 512, 3, 3), rng=0)
            yield f"conv 3×3, 512, {size}×{size}: {name}", dense, weight, x, torch_layer


# --- a training step -----------------------------------------------------------------------------


def training(torch):
    """VGG-16's two linear layers, forward, backward and Adam's update, batch 128."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(128, 512)).astype(np.float32)
    g = rng.normal(size=(128, 4096)).astype(np.float32)

    def step_of(spec):
        model = ta.Sequential(
            fc1=ta.Linear(512, 4096, rng=0), relu=ta.ReLU(), fc2=ta.Linear(4096, 4096, rng=1)
        )
        model = ta.compress(model, spec, rng=0) if spec else model
        optimizer = ta.Adam(model.parameters())

        def step():
            model(x, training=True).backward(g)
            optimizer.step(1e-4)
            optimizer.zero_grad()

        return step

    sides = {
        "dense": step_of({}),
        "torch": torch_step(torch, x, g),
        "output first": step_of({"fc*": OUTPUT_FIRST}),
        "interleaved": step_of({"fc*": INTERLEAVED}),
    }
    seconds = rounds(sides, seconds=4 * SECONDS, fewest=7)
    print("\nfc1 512→4096 and fc2 4096→4096, one training step with Adam, batch 128\n")
    widths = [26, 24, 14, 14]
    print_row(["", "ms", "% of dense", "% of torch"], widths)
    for name, taken in seconds.items():
        shares = [
            f"{100 * float(np.median(taken / seconds[side])):.2f}" if side in seconds else ""
            for side in ("dense", "torch")
        ]
        print_row([name, milliseconds(taken), *shares], widths)


def torch_step(torch, x, g):
    if torch is None:
        return None
    model = torch.nn.Sequential(
        torch.nn.Linear(512, 4096), torch.nn.ReLU(), torch.nn.Linear(4096, 4096)
    )
    optimizer = torch.optim.Adam(model.parameters(), 1e-4)
    x, g = torch.from_numpy(x), torch.from_numpy(g)

    def step():
        optimizer.zero_grad()
        model(x).backward(g)
        optimizer.step()

    return step


def main(words):
    torch = peer("torch")
    as_on_a_users_machine()
    if torch is not None:
        torch.set_grad_enabled(False)
    print("milliseconds: median (quartiles); ÷: how many times faster, median over the rounds\n")
    print_row(HEAD, WIDTHS)
    for row in [*linear_rows(torch), *conv_rows(torch)]:
        if all(word in row[0] for word in words):
            inference(*row)
    if torch is not None:
        torch.set_grad_enabled(True)
    if not words or "training" in words:
        training(torch)


if __name__ == "__main__":
    main(sys.argv[1:])
