"""Single convolutions, pools and a batch normalisation, forward and back: here and with others.

    python tests/bench/bench_convolution.py [NUMBER …]     # only these rows, counted from 1

float32. Everybody's arrays lie as his own ops leave them: here with the batch innermost, elsewhere
(n, c, h, w). Results and gradients are compared before anything is timed.
"""

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

import tinyadtn as ta
from tinyadtn.ops.fast import winograd
from tinyadtn.ops.windows import batch_first, batch_innermost

torch = peer("torch")
# (n, c, h, o, kernel, padding), as in VGG-16 and, the last two, as in LeNet-5
CONVOLUTIONS = [
    (64, 64, 32, 64, 3, 1),
    (64, 128, 16, 128, 3, 1),
    (64, 256, 8, 256, 3, 1),
    (64, 512, 4, 512, 3, 1),
    (128, 1, 28, 6, 5, 2),
    (128, 6, 14, 16, 5, 0),
]
IMAGES = (64, 64, 32, 32)


rng = np.random.default_rng(0)


def drawn(*shape):
    return rng.normal(size=shape).astype(np.float32)


def ours(function, arrays, g):
    arrays = [batch_first(batch_innermost(a).copy()) if a.ndim == 4 else a for a in arrays]
    arrays[1:] = [np.ascontiguousarray(a) for a in arrays[1:]]
    g = batch_first(batch_innermost(g).copy())

    def side():
        leaves = [ta.Tensor(a, requires_grad=True) for a in arrays]
        y = function(*leaves)
        y.backward(g)
        return [y.data, *(leaf.grad for leaf in leaves)]

    return side


def plainly(side):
    """The same without Winograd's way."""

    def plain_side():
        pays, winograd.applies = winograd.applies, lambda *_: False
        try:
            return side()
        finally:
            winograd.applies = pays

    return plain_side


def torchs(function, arrays, g):
    leaves, g = [torch.tensor(a, requires_grad=True) for a in arrays], torch.tensor(g)

    def side():
        for leaf in leaves:
            leaf.grad = None
        y = function(*leaves)
        y.backward(g)
        return [y.detach().numpy(), *(leaf.grad.numpy() for leaf in leaves)]

    return side


def jaxs(padding):
    import jax

    def convolution(x, w):
        return jax.lax.conv_general_dilated(x, w, (1, 1), [(padding, padding)] * 2)

    @jax.jit
    def both(x, w, g):
        y, back = jax.vjp(convolution, x, w)
        return y, *back(g)

    return lambda x, w, g: lambda: jax.block_until_ready(both(x, w, g))


def mygrads(padding):
    import mygrad
    from mygrad.nnet.layers import conv_nd

    def make(x, w, g):
        def side():
            leaves = [mygrad.tensor(x), mygrad.tensor(w)]
            y = conv_nd(*leaves, stride=1, padding=padding)
            y.backward(g)
            return [y.data, *(leaf.grad for leaf in leaves)]

        return side

    return make


def convolution(n, c, h, o, kernel, padding):
    """The sides of a convolution."""
    arrays = drawn(n, c, h, h), drawn(o, c, kernel, kernel)
    size = h + 2 * padding - kernel + 1
    g = drawn(n, o, size, size)
    sides = {"ours": ours(lambda x, w: ta.conv2d(x, w, padding=padding), arrays, g)}
    sides["plain"] = plainly(sides["ours"])
    if torch:
        conv2d = torch.nn.functional.conv2d
        sides["torch"] = torchs(lambda x, w: conv2d(x, w, padding=padding), arrays, g)
    for module, maker in {"jax": jaxs, "mygrad": mygrads}.items():
        sides[module] = maker(padding)(*arrays, g) if peer(module) else None
    return f"conv {n}×{c}×{h}×{h}, {o} {kernel}×{kernel}", sides


def others():
    """(name, our function, torch's, arrays, shape of g) of the other ops on images."""
    n, c, h, w = IMAGES
    x, half = drawn(*IMAGES), (n, c, h // 2, w // 2)
    f = torch and torch.nn.functional
    shown = "×".join(map(str, IMAGES))
    yield (
        f"max pool 2×2, {shown}",
        lambda a: ta.max_pool2d(a, kernel=2),
        lambda a: f.max_pool2d(a, 2),
        [x],
        half,
    )
    yield (
        f"max pool 3×3 by 2, {shown}",
        lambda a: ta.max_pool2d(a, kernel=3, stride=2, padding=1),
        lambda a: f.max_pool2d(a, 3, 2, 1),
        [x],
        half,
    )
    yield (
        f"mean pool 2×2, {shown}",
        lambda a: ta.avg_pool2d(a, kernel=2),
        lambda a: f.avg_pool2d(a, 2),
        [x],
        half,
    )
    yield (
        f"batch norm, {shown}",
        ta.batch_norm,
        lambda a, scale, shift: f.batch_norm(a, None, None, scale, shift, training=True),
        [x, drawn(c), drawn(c)],
        IMAGES,
    )
    yield f"relu, {shown}", ta.relu, lambda a: a.relu(), [x], IMAGES


def main(numbers):
    as_on_a_users_machine()
    print("ms, forward and back: median (quartiles); behind it the median ratio to torch\n")
    heads = ["", "tinyadtn", "", "plain", "", "torch", "JAX jit", "", "MyGrad", ""]
    widths = [30, 18, 7, 18, 7, 18, 18, 7, 18, 7]
    print_row(heads, widths)
    rows = [lambda row=row: convolution(*row) for row in CONVOLUTIONS]
    for name, function, theirs, arrays, shape in others():
        g = drawn(*shape)
        sides = {"ours": ours(function, arrays, g)}
        sides["torch"] = torchs(theirs, arrays, g) if torch else None
        rows.append(lambda name=name, sides=sides: (name, sides))
    for number, row in enumerate(rows, 1):
        if numbers and number not in numbers:
            continue
        name, sides = row()
        wanted = sides["ours"]()
        for side, function in sides.items():
            if function is not None:
                error = difference(map(np.asarray, function()), wanted)
                assert error < 1e-4, f"{name}: {side} differs by {error:.1e}"
        seconds = rounds(sides, seconds=4)
        reference = seconds.get("torch", seconds["ours"])
        cells = [name]
        for side in ("ours", "plain", "torch", "jax", "mygrad"):
            there = side in seconds
            cells.append(milliseconds(seconds[side]) if there else "–")
            if side != "torch":
                cells.append(ratio(seconds[side], reference) if there else "–")
        print_row(cells, widths)


if __name__ == "__main__":
    main(set(map(int, sys.argv[1:])))
