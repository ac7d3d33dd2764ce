"""Contraction of a brick wall, forward and backward: the fast schedule against gate by gate.

    python tests/bench/bench_contraction.py             # the rows of the README
    python tests/bench/bench_contraction.py 24,1 24,2   # other rows: Q,M

float32, ReLU, the gradient of every gate from a given dL/dT. Ratios are times of the fast schedule.
"torch, same scheme" does what ``tinyadtn.fast_wall`` does with torch's autograd: the matrix product
state, then the same windows, but not in blocks. The last table is the forward pass of one TN layer
against writing as many numbers with ``np.copyto``.
"""

from __future__ import annotations

import functools
import sys

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

from tinyadtn.tensor_networks.fast.fast_wall import tensor_and_backward
from tinyadtn.tensor_networks.fast.wall_windows import window_spans

torch = peer("torch")
ROWS = [(16, 1), (16, 3), (18, 1), (18, 2), (18, 3), (21, 1), (21, 2), (21, 3), (24, 1), (24, 2)]


def random_wall(num_sites, depth):
    rng = np.random.default_rng([num_sites, depth])
    counts = [num_sites // 2, (num_sites - 1) // 2] * depth
    shapes = [(k, 4, 4) if i else (k, 2, 2) for i, k in enumerate(counts)]
    columns = [rng.normal(0, 0.5, shape).astype(np.float32) for shape in shapes]
    return columns, rng.normal(size=2**num_sites).astype(np.float32)


def fast(columns, g, num_sites):
    tensor, backward = tensor_and_backward(columns, num_sites, "relu")
    return [tensor, *backward(g)]


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
    return [state, *grads]


def _torch_state_and_gradients(state, columns, g):
    grads = torch.autograd.grad(state.reshape(-1), columns, torch.from_numpy(g))
    return [state.detach().reshape(-1).numpy(), *(grad.numpy() for grad in grads)]


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
    return _torch_state_and_gradients(state, columns, g)


def torch_same_scheme(columns, g, num_sites):
    columns = [torch.tensor(column, requires_grad=True) for column in columns]
    state = _torch_product_state(*columns[:2], num_sites)
    for first, second in zip(columns[2::2], columns[3::2], strict=True):
        state = torch.relu(state)
        for start, stop in (span for part in window_spans(num_sites) for span in part):
            size = 2 ** (stop - start)
            matrix = torch.eye(size)
            for parity, column in enumerate((first, second)):
                for site in range(start, stop - 1):
                    if site % 2 == parity:
                        before = matrix.reshape(2 ** (site - start), 4, -1)
                        matrix = (column[site // 2] @ before).reshape(size, size)
            state = matrix @ state.reshape(2**start, size, -1)
    return _torch_state_and_gradients(state, columns, g)


def _torch_product_state(first, second, num_sites):
    """L·R, the two halves of the first TN layer's matrix product state, cut in the middle."""
    cores = torch.einsum("kxi,koiy->kxoy", first[: len(second)], second.reshape(-1, 4, 2, 2))
    middle = num_sites // 4
    left, right = torch.eye(2), first[-1] if num_sites % 2 == 0 else torch.eye(2)[:, :1]
    for core in cores[:middle]:
        left = (left @ core.reshape(2, 8)).reshape(-1, 2)
    for core in cores[middle:].flip(0):
        right = (core.reshape(8, 2) @ right).reshape(2, -1)
    return left @ right


def sides_of(num_sites, depth):
    """The sides with this wall as their argument, after their results have been compared."""
    columns, g = random_wall(num_sites, depth)
    functions = {"fast": fast, "NumPy, gate by gate": numpy_gate_by_gate}
    if torch:
        functions |= {"torch, gate by gate": torch_gate_by_gate}
        functions |= {"torch, same scheme": torch_same_scheme}
    wanted = numpy_gate_by_gate(columns, g, num_sites)
    for name, function in functions.items():
        error = difference(function(columns, g, num_sites), wanted)
        assert error < 1e-3, f"{name} differs by {error:.1e} at Q={num_sites} M={depth}"
    return {n: functools.partial(f, columns, g, num_sites) for n, f in functions.items()}


def print_contraction(rows):
    print("\nforward + backward: ms, median (quartiles); ratio: times the fast schedule\n")
    names = ["NumPy, gate by gate", "torch, gate by gate", "torch, same scheme"]
    widths = [8, 20, *[22, 7] * len(names)]
    print_row(["Q, M", "fast", *(cell for name in names for cell in (name, "ratio"))], widths)
    for num_sites, depth in rows:
        seconds = rounds(sides_of(num_sites, depth), fewest=3 if num_sites > 21 else 7)
        cells = [f"{num_sites}, {depth}", milliseconds(seconds["fast"])]
        for name in names:
            there = name in seconds
            cells += [milliseconds(seconds[name]) if there else "–"]
            cells += [ratio(seconds[name], seconds["fast"]) if there else "–"]
        print_row(cells, widths)


def print_bandwidth():
    print("\none TN layer, forward, against np.copyto of 2^Q floats\n")
    widths = [8, 20, 20, 7]
    print_row(["Q", "forward", "copyto", "ratio"], widths)
    for num_sites in (18, 21, 24):
        columns, source = random_wall(num_sites, 1)
        target = np.empty_like(source)
        seconds = rounds(
            {
                "forward": functools.partial(tensor_and_backward, columns, num_sites, "relu"),
                "copyto": functools.partial(np.copyto, target, source),
            },
            seconds=2,
            fewest=20,
        )
        forward, copyto = seconds["forward"], seconds["copyto"]
        print_row(
            [num_sites, milliseconds(forward), milliseconds(copyto), ratio(forward, copyto)], widths
        )


if __name__ == "__main__":
    as_on_a_users_machine()
    print_contraction([tuple(map(int, row.split(","))) for row in sys.argv[1:]] or ROWS)
    print_bandwidth()
