"""Fit an encoding to a given weight: the error that is left, and the fit of an ADTN.

An ADTN is fitted by variable projection: train the gates, compute the scale. Let W be the decoded
weight. For given gates the best factor on W has a closed form, ⟨W, target⟩ / ⟨W, W⟩. It leaves the
relative error √(1 - cos²), where cos is the cosine of the angle between W and the target. So the
gates maximize cos², and the scale is computed at the end. With the distance ‖W - target‖ as the
loss, a random initialization would first be pulled towards W = 0.

The closest W is short: its norm is cos·‖target‖. A trained weight is nearly random, so with a few
hundred parameters cos is about 0.1 to 0.3, and the output of the layer is small at first. A plain
ADTN can collapse from there; a normalized one trains, but so does one with random gates.
Source: Golub and Pereyra, SIAM J. Numer. Anal. 10, 413 (1973).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..autodiff.arrays import as_array, asarray_like, to_numpy
from ..autodiff.engine import Tensor
from ..autodiff.modes import isolated, no_grad
from ..errors import NonFiniteError, ShapeError
from ..nn.optim import Adam
from ..nn.schedules import OneCycle
from ..progress import progress

if TYPE_CHECKING:
    from .adtn import ADTN
    from .encoding import Encoding


def fit_by_variable_projection(
    self: ADTN,
    target: Any,
    *,
    steps: int = 500,
    learning_rate: float = 0.02,
    show_progress: bool = True,
    label: str = "fit",
) -> list[float]:
    """Bring the decoded weight W close to the target in Euclidean distance: ``ADTN.fit``.

    The gates are trained with Adam (one cycle of the learning rate), then the scale is computed.
    Returns the relative error ‖W - target‖ / ‖target‖ before each step and at the end. If
    NonFiniteError is raised, the gates are restored first. A fit that is interrupted leaves the
    weight of its last whole step, with the scale that is best for it.
    """
    if steps < 0 or not 0 < learning_rate < math.inf:
        raise ValueError(
            f"fit needs steps >= 0 and a learning rate above 0, got {steps}, {learning_rate}"
        )
    target, norm = checked_target(self, target)
    gates = self.columns[0]
    direction = asarray_like((target / norm).astype(gates.dtype), gates.data)
    optimizer = Adam(self.parameters(), clip=1.0)
    schedule = OneCycle(peak=learning_rate, steps=steps)
    before = whole = self.arrays()
    errors: list[float] = []
    bar = progress(
        range(steps + 1),
        label=label,
        note=lambda _: f"relative error {errors[-1]:.3f}" if errors else "",
        show=show_progress,
    )
    try:
        for step in bar:
            overlap, square = inner_products(self, direction, step)
            loss = 1 - overlap * overlap / square
            best = self.scale.dtype.type(norm * overlap.item() / square.item())
            whole = {**self.arrays(), "scale": before["scale"] * best}
            errors.append(math.sqrt(max(loss.item(), 0.0)))
            if step < steps:
                descend(loss, optimizer, schedule(step))
        self.scale.data = asarray_like(whole["scale"], self.scale.data)
    except BaseException as error:
        self.load_arrays(before if isinstance(error, NonFiniteError) else whole)
        optimizer.zero_grad()
        raise
    return errors


def inner_products(weight: ADTN, direction: Any, step: int) -> tuple[Tensor, Tensor]:
    """Return ⟨W, direction⟩ and ⟨W, W⟩. NonFiniteError if W is zero or not finite."""
    with np.errstate(all="ignore"):  # the next line finds an overflow
        decoded = weight.decode()
        overlap, square = (decoded * direction).sum(), (decoded * decoded).sum()
    if not 0 < square.item() < math.inf:
        what = "zero" if square.item() == 0 else "numbers that are not finite"
        raise NonFiniteError(
            f"after {step} steps this ADTN decodes to {what}; try a smaller learning_rate, "
            "another rng or leaky_relu"
        )
    return overlap, square


def descend(loss: Tensor, optimizer: Adam, learning_rate: float) -> None:
    """Take one optimization step of the gates."""
    loss.backward()
    optimizer.step(learning_rate)
    optimizer.zero_grad()


# --- the target of any fit ------------------------------------------------------------------------


def checked_target(encoding: Encoding, target: Any) -> tuple[np.ndarray, float]:
    """Return the weight to fit and its norm; raise for another shape, or a norm of 0 or inf."""
    target = to_numpy(target.data if isinstance(target, Tensor) else as_array(target))
    if target.shape != encoding.shape:
        raise ShapeError(
            f"the target has shape {target.shape}, this {type(encoding).__name__} {encoding.shape}"
        )
    norm = math.sqrt(float((target.astype(np.float64) ** 2).sum()))
    if not 0 < norm < math.inf:
        raise NonFiniteError(f"the target needs a finite norm above 0, it is {norm}")
    return target, norm


@isolated
def relative_error(encoding: Encoding, target: Any) -> float:
    """Return ‖W - target‖ / ‖target‖ for the decoded weight W."""
    target, norm = checked_target(encoding, target)
    with no_grad():
        left = encoding.decode().numpy().astype(np.float64) - target
    return math.sqrt(float((left * left).sum())) / norm
