"""An ADTN as layers use it: ``decode()`` forward and backward, against contracting T alone.

    OPENBLAS_NUM_THREADS=1 python tests/bench/bench_decode.py

"contract" is T and the gradient of every gate, before the entries are in the order of the weight.
"by index" contracts T and picks the entries of the weight from it: the definition. "torch" decodes
with the module of ``ta.to_torch``, gate by gate. Ratios are times of ``decode()``; plain ADTNs.
"""

from __future__ import annotations

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
from tinyadtn.encodings.adtn import _pick

torch = peer("torch")
ROWS = [
    ((512, 512), 1, "mirrored"),
    ((256, 784), 1, "mirrored"),
    ((1024, 2048), 1, "mirrored"),
    ((1024, 2048), 1, "output_first"),
    ((4096, 512), 1, "mirrored"),
    ((512, 512, 3, 3), 1, "mirrored"),
    ((256, 784), 2, "mirrored"),
    ((1024, 2048), 2, "mirrored"),
]
HEAD = ["weight, M, order", "decode, ms", "contract", "by index", "torch"]
WIDTHS = [38, 20, 10, 10, 10]


def by_index(weight):
    index, tensor = weight.sites.index, weight.contract()
    picked = tensor if index is None else _pick(tensor, index=index)
    return picked.reshape(weight.shape) * weight.amplitude()


def gradients(weight, decode, cotangent):
    """Forward and backward once; the gradients are taken away for the next round."""
    decoded = decode(weight)
    decoded.backward(cotangent)
    found = [column.grad for column in weight.columns]
    for column in weight.columns:
        column.grad = None
    return [decoded.data, *found]


def torch_side(weight, cotangent):
    layer = ta.Linear(1, 1, rng=0)
    layer.weight = weight
    module = ta.to_torch(ta.Sequential(layer=layer))
    decode = next(m for m in module.modules() if hasattr(m, "columns"))
    given = torch.from_numpy(cotangent)

    def side():
        module.zero_grad()
        decode().backward(given)

    return side


def main():
    print_row(HEAD, WIDTHS)
    for shape, depth, order in ROWS:
        axes = (256, (28, 28)) if shape == (256, 784) else None
        weight = ta.ADTN(shape, depth, order=order, axes=axes, normalized=False, rng=0)
        g = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        whole = np.ones(weight.sites.padded_size, np.float32)
        sides = {
            "decode": lambda weight=weight, g=g: gradients(weight, ta.ADTN.decode, g),
            "contract": lambda weight=weight, g=whole: gradients(weight, ta.ADTN.contract, g),
            "by index": lambda weight=weight, g=g: gradients(weight, by_index, g),  # M=2: the same
            "torch": torch_side(weight, g) if torch and len(shape) == 2 else None,
        }
        assert difference(sides["decode"](), sides["by index"]()) < 1e-4
        times = rounds(sides, seconds=4.0)
        name = f"{'×'.join(map(str, shape))}, M={depth}, {order}"
        others = [ratio(times[k], times["decode"]) if k in times else "" for k in HEAD[2:]]
        print_row([name, milliseconds(times["decode"]), *others], WIDTHS)


if __name__ == "__main__":
    as_on_a_users_machine()
    main()
