"""Contraction of a brick wall, forward and backward: the fast schedule against gate by gate.

python tests/bench/bench_contraction.py             # Q 16, 18 and 21, M 1 to 3
python tests/bench/bench_contraction.py 24,1 24,2   # other rows: Q,M

float32, ReLU, every gate's gradient. The sides are run in turn, in one process, after their results
have been compared; a time is a median with its quartiles, a ratio the median over the rounds.
"""

import os
import subprocess
import sys
import time

import numpy as np

from tinyadtn.fast_wall import contract

try:
    import torch
except ImportError:
    torch = None

ROWS = [(16, 1), (16, 3), (18, 1), (18, 2), (18, 3), (21, 1), (21, 2), (21, 3)]
SECONDS_A_ROW = 6


def random_wall(num_sites, depth):
    rng = np.random.default_rng([num_sites, depth])
    counts = [num_sites // 2, (num_sites - 1) // 2] * depth
    shapes = [(k, 4, 4) if i else (k, 2, 2) for i, k in enumerate(counts)]
    columns = [rng.normal(0, 0.5, shape).astype(np.float32) for shape in shapes]
    return columns, rng.normal(size=2**num_sites).astype(np.float32)


def fast(columns, g, num_sites):
    tensor, backward = contract(columns, num_sites, "relu")
    return tensor, backward(g)


def numpy_gate_by_gate(columns, g, num_sites):
    state = np.zeros(2**num_sites, np.float32)
    state[0] = 1
    tape = []
    for c, column in enumerate(columns):
        for k, gate in enumerate(column):
            state = state.reshape(2 ** (2 * k + c % 2), 4, -1)
            # A first gate is one column of a matrix, the one for input 00.
            gate = gate if c else np.pad(gate.reshape(4, 1), ((0, 0), (0, 3)))
            tape.append((c, k, gate, state))
            state = np.tensordot(gate, state, (1, 1)).transpose(1, 0, 2).reshape(-1)
        if c % 2 and c < len(columns) - 1:
            state = np.maximum(state, 0)
            tape.append((None, None, None, state))
    grads = [np.empty_like(column) for column in columns]
    for c, k, gate, x in reversed(tape):
        g = g.reshape(x.shape)
        if gate is None:
            g = g * (x > 0)
            continue
        grad = np.tensordot(g, x, ((0, 2), (0, 2)))
        grads[c][k] = grad if c else grad[:, 0].reshape(2, 2)
        g = np.tensordot(gate, g, (0, 1)).transpose(1, 0, 2)
    return state, grads


def torch_gate_by_gate(columns, g, num_sites):
    columns = [torch.tensor(column, requires_grad=True) for column in columns]
    state = torch.zeros(2**num_sites)
    state[0] = 1
    for c, column in enumerate(columns):
        for k, gate in enumerate(column):
            state = state.reshape(2 ** (2 * k + c % 2), 4, -1)
            if c == 0:
                gate = torch.nn.functional.pad(gate.reshape(4, 1), (0, 3))
            state = torch.tensordot(gate, state, ([1], [1])).permute(1, 0, 2).reshape(-1)
        if c % 2 and c < len(columns) - 1:
            state = torch.relu(state)
    trained = [column for column in columns if column.numel()]
    return state.detach().numpy(), [
        grad.numpy() for grad in torch.autograd.grad(state, trained, torch.from_numpy(g))
    ]


def difference(result, reference):
    """The largest error of T or of a column's gradient, in units of its largest number."""
    (tensor, grads), (wanted, wanted_grads) = result, reference
    pairs = zip([tensor, *grads], [wanted, *wanted_grads], strict=True)
    return max(np.abs(a - b).max() / np.abs(b).max() for a, b in pairs)


def measure(sides, num_sites, depth):
    """Seconds (rounds, sides), the order turning from round to round."""
    columns, g = random_wall(num_sites, depth)
    results = [side(columns, g, num_sites) for side in sides]
    for side, result in zip(sides[1:], results[1:], strict=True):
        error = difference(result, results[0])
        assert error < 1e-3, f"{side.__name__} differs by {error:.1e} at Q={num_sites} M={depth}"
    del results
    rounds, start = [], time.perf_counter()
    while len(rounds) < 5 or (len(rounds) < 60 and time.perf_counter() - start < SECONDS_A_ROW):
        seconds = np.empty(len(sides))
        for i in np.roll(range(len(sides)), len(rounds)):
            before = time.perf_counter()
            sides[i](columns, g, num_sites)
            seconds[i] = time.perf_counter() - before
        rounds.append(seconds)
    return np.array(rounds)


def cells(seconds):
    """'median (quartiles)' in ms for each side, and after the first the ratio to it."""
    low, middle, high = np.percentile(seconds * 1e3, [25, 50, 75], axis=0)
    ratios = np.median(seconds / seconds[:, :1], axis=0)
    for i, ratio in enumerate(ratios):
        shown = [f"{x:.2f}" if x < 10 else f"{x:.0f}" for x in (middle[i], low[i], high[i])]
        yield "{} ({}-{})".format(*shown)
        if i:
            yield f"{ratio:.1f}"


def main(rows):
    sides = [fast, numpy_gate_by_gate]
    head = ["Q", "M", "fast, ms", "NumPy gate by gate, ms", "ratio"]
    if torch is not None:
        sides.append(torch_gate_by_gate)
        head += ["torch gate by gate, ms", "ratio"]
    threads = os.environ.get("OPENBLAS_NUM_THREADS") or os.environ.get("OMP_NUM_THREADS")
    print(f"NumPy {np.__version__}, BLAS threads {threads or f'all of {os.cpu_count()} cores'}")
    print(
        "torch is missing: its columns are left out"
        if torch is None
        else f"torch {torch.__version__}, threads {torch.get_num_threads()}"
    )
    print("forward + backward, float32; median (quartiles); ratio: times the fast schedule\n")
    widths = [3, 3, 22, 24, 8, 24, 8]
    print("".join(f"{name:>{width}}" for name, width in zip(head, widths, strict=False)))
    for num_sites, depth in rows:
        row = [num_sites, depth, *cells(measure(sides, num_sites, depth))]
        print("".join(f"{cell:>{w}}" for cell, w in zip(row, widths, strict=False)), flush=True)


if __name__ == "__main__":
    # The variable forces one CPU's kernels on OpenBLAS: measure as where it is not set.
    core_type = os.environ.pop("OPENBLAS_CORETYPE", None)
    if core_type:
        print(f"OPENBLAS_CORETYPE was {core_type}, measured without it")
        sys.exit(subprocess.run([sys.executable, *sys.argv], env=os.environ).returncode)
    print("OPENBLAS_CORETYPE is not set")
    main([tuple(map(int, row.split(","))) for row in sys.argv[1:]] or ROWS)
