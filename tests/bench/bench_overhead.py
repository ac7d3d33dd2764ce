"""What an op costs where there is nothing to compute: arrays of a few numbers, in microseconds.

    OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 python tests/bench/bench_overhead.py [OP …]

"forward" records the op; "both" is forward and the gradient of all its arrays; "chain" is 32
additions one behind the other, forward and back, for each of them. NumPy alone computes the value.
The times are CPU time, which other work on the machine disturbs less.
"""

import sys
import time

import numpy as np
from side_by_side import as_on_a_users_machine, difference, peer, print_row, ratio, rounds

import tinyadtn as ta

torch, mygrad, autograd = peer("torch"), peer("mygrad"), peer("autograd")
CALLS = 200
CHAIN = 32
CONTRACTED = "ni,oi->no"

rng = np.random.default_rng(0)
A, B = (rng.normal(size=(3, 4)).astype(np.float32) for _ in range(2))
ROW, SQUARE = B[0].copy(), rng.normal(size=(4, 3)).astype(np.float32)

# name: (arrays, the function given a module's words)
OPS = {
    "add": ((A, B), lambda np_, a, b: a + b),
    "add a row": ((A, ROW), lambda np_, a, b: a + b),
    "add 1.0": ((A,), lambda np_, a: a + 1.0),
    "multiply": ((A, B), lambda np_, a, b: a * b),
    "matmul": ((A, SQUARE), lambda np_, a, b: a @ b),
    "relu": ((A,), lambda np_, a: np_.relu(a)),
    "exp": ((A,), lambda np_, a: np_.exp(a)),
    "sum": ((A,), lambda np_, a: a.sum()),
    "reshape": ((A,), lambda np_, a: a.reshape(4, 3)),
    "getitem": ((A,), lambda np_, a: a[1]),
    "linear": ((A, B), lambda np_, a, b: np_.linear(a, b)),
}


def chain(np_, a):
    for _ in range(CHAIN):
        a = a + 1.0
    return a


class Plain:
    relu = staticmethod(lambda a: np.maximum(a, 0))
    exp = np.exp
    linear = staticmethod(lambda a, b: a @ b.T)


class Ours:
    relu, exp = ta.relu, ta.exp
    linear = staticmethod(lambda a, b: ta.contract(a, b, pattern=CONTRACTED))


def ours(function, arrays, g):
    leaves = [ta.Tensor(a, requires_grad=True) for a in arrays]

    def both():
        function(Ours, *leaves).backward(g)
        gradients = [leaf.grad for leaf in leaves]
        for leaf in leaves:
            leaf.grad = None
        return gradients

    return lambda: function(Ours, *leaves), both


def torchs(function, arrays, g):
    class Words:
        relu, exp, linear = torch.relu, torch.exp, torch.nn.functional.linear

    leaves = [torch.tensor(a, requires_grad=True) for a in arrays]
    g = torch.tensor(g)

    def both():
        function(Words, *leaves).backward(g)
        gradients = [leaf.grad for leaf in leaves]
        for leaf in leaves:
            leaf.grad = None
        return gradients

    return lambda: function(Words, *leaves), both


def mygrads(function, arrays, g):
    from mygrad.nnet.activations import relu

    class Words:
        exp = mygrad.exp
        linear = staticmethod(lambda a, b: a @ b.T)

    Words.relu = staticmethod(relu)
    leaves = [mygrad.tensor(a) for a in arrays]

    def both():
        function(Words, *leaves).backward(g)
        return [leaf.grad for leaf in leaves]

    return lambda: function(Words, *leaves), both


def autograds(function, arrays, g):
    import autograd.numpy as anp

    class Words:
        relu = staticmethod(lambda a: anp.maximum(a, 0))
        exp = anp.exp
        linear = staticmethod(lambda a, b: anp.dot(a, b.T))

    record = autograd.make_vjp(lambda arguments: function(Words, *arguments))
    return lambda: record(arrays), lambda: record(arrays)[0](g)


MAKERS = {"torch": torchs, "mygrad": mygrads, "autograd": autograds}


def repeated(call):
    def calls():
        for _ in range(CALLS):
            call()

    return calls


def main(names):
    as_on_a_users_machine()
    there = {name: make for name, make in MAKERS.items() if peer(name) is not None}
    print("µs, medians; behind it the median ratio to torch, round by round\n")
    heads = ["op", "", "NumPy", "tinyadtn", "", "torch"]
    heads += [h for name in there if name != "torch" for h in (name, "")]
    widths = [10, 9, 8, 10, 7, 8] + [10, 7] * (len(there) - 1)
    print_row(heads, widths)
    for name, (arrays, function) in {**OPS, "chain": ((A,), chain)}.items():
        if names and name not in names:
            continue
        value = function(Plain, *arrays)
        g = np.ones_like(value)
        sides = {"ours": ours(function, arrays, g)}
        sides |= {peer_: make(function, arrays, g) for peer_, make in there.items()}
        wanted = sides["ours"][1]()
        for side, (_, both) in sides.items():
            found = [np.asarray(gradient) for gradient in both()]
            assert difference(found, wanted) < 1e-5, f"{name}: {side} has other gradients"
        for which, kind in enumerate(("forward", "both")):
            if name == "chain" and kind == "forward":
                continue
            calls = {side: repeated(pair[which]) for side, pair in sides.items()}
            calls["plain"] = repeated(lambda f=function, a=arrays: f(Plain, *a))
            seconds = rounds(calls, seconds=0, fewest=9, clock=time.process_time)
            scale = 1e6 / CALLS / (CHAIN if name == "chain" else 1)
            micro = {side: f"{scale * np.median(s):.2f}" for side, s in seconds.items()}
            reference = seconds.get("torch", seconds["ours"])
            cells = [name, kind, micro["plain"] if kind == "forward" else ""]
            cells += [micro["ours"], ratio(seconds["ours"], reference), micro.get("torch", "–")]
            for side in there:
                if side != "torch":
                    cells += [micro[side], ratio(seconds[side], reference)]
            print_row(cells, widths)


if __name__ == "__main__":
    main(sys.argv[1:])
