"""How far the five networks are from torch's: the largest differences, in both precisions.

    python tests/bench/agree_with_torch.py

One step forward and back with the same weights, drawn at random. A difference is in units of the
largest number of its array; "norm" is that of a gradient's difference in units of its norm. For the
gradients, the worst array of the network (the gradient of the images included) is shown.
"""

import sys
from pathlib import Path

import numpy as np

try:
    import torch
except ImportError:
    sys.exit("torch is not installed: nothing to compare with")

sys.path.insert(0, str(Path(__file__).parents[1]))
from torch_twins import CASES, agreement

HEAD = ["", "logits", "loss", "gradients", "norm"]
WIDTHS = [20, 9, 9, 11, 9]


def cells(case, dtype):
    found = agreement(case, dtype)
    worst = [max(found.gradients.values()), max(found.norms.values())]
    return [f"{value:.1e}" for value in (found.logits, found.loss, *worst)]


def line(first, *rest):
    return first.ljust(WIDTHS[0]) + "".join(c.rjust(w) for c, w in zip(rest, WIDTHS[1:] * 2))


def main():
    print(f"NumPy {np.__version__}, torch {torch.__version__}\n")
    print(" " * WIDTHS[0] + "float64".rjust(sum(WIDTHS[1:])) + "float32".rjust(sum(WIDTHS[1:])))
    print(line(*HEAD, *HEAD[1:]))
    for name, case in CASES.items():
        print(line(name, *cells(case, np.float64), *cells(case, np.float32)), flush=True)


if __name__ == "__main__":
    main()
