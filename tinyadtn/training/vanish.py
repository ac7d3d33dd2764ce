"""Find parameters that diverged, and encoded weights whose norm vanished, during training."""

from __future__ import annotations

import math

import numpy as np

from ..autodiff.arrays import asarray_like
from ..autodiff.engine import Tensor
from ..autodiff.modes import isolated, no_grad
from ..errors import NonFiniteError
from ..nn.module import Module
from ..nn.surgery import named_layers
from ..nn.weights import Weight

VANISHED = 1e-4  # an encoded weight has vanished at this share of its initial norm
REMEDY = "a smaller learning rate, or clip=1.0, or, for an ADTN, normalized=True, its default"


def reject_diverged(model: Module, where: str, loss: float = 0.0) -> None:
    """Raise NonFiniteError unless all parameters and buffers, and the validation loss, are finite.

    The loop checks loss and gradients before an update; only this finds an update that diverged.
    """
    bad = [name for name, array in model.arrays().items() if not np.isfinite(array).all()]
    if bad or not math.isfinite(loss):
        raise NonFiniteError(
            f"{where}: the network diverged at its last update: "
            f"{', '.join(bad) or 'the validation loss'} is not finite. Try a smaller learning "
            "rate, or clip="
        )


@isolated
def norms_of_encoded(model: Module) -> dict[str, float]:
    """Return the norm of every weight with a trainable encoding, by the name of its layer."""
    weights = {name: layer.weight for name, layer in named_layers(model).items()}
    with no_grad(), np.errstate(all="ignore"):
        return {
            name: _norm(weight)
            for name, weight in weights.items()
            if isinstance(weight, Weight) and weight.parameters()
        }


def _norm(weight: Weight) -> float:
    """Return ‖W‖; for a matrix an estimate from ‖W·x‖ of 8 random x, without forming W."""
    if len(weight.shape) != 2:
        return float(np.linalg.norm(weight.decode().numpy()))
    like = weight.parameters()[0].data
    x = np.random.default_rng(0).standard_normal((8, weight.shape[1])) / math.sqrt(8)
    images = Tensor(asarray_like(x.astype(like.dtype), like))
    return float(np.linalg.norm(weight.linear(images, None).numpy()))


def reject_vanished(model: Module, norms: dict[str, float], where: str) -> None:
    """Raise NonFiniteError if the norm of a weight, and so its gradients, have vanished."""
    for name, norm in norms_of_encoded(model).items():
        if norm <= VANISHED * norms[name] and norms[name]:
            raise NonFiniteError(
                f"{where}: the weight of {name} has vanished: its norm was {norms[name]:.3g}, now "
                f"it is {norm:.3g}, and its gradients are too small to bring it back. Start again "
                f"with {REMEDY}"
            )


def with_overflow(model: Module, found: str) -> str:
    """Return the message ``found`` with the layers whose weight has overflowed, and a remedy."""
    lost = [name for name, norm in norms_of_encoded(model).items() if not math.isfinite(norm)]
    if lost:
        return f"the weight of {' and '.join(lost)} has overflowed; {found}. Try {REMEDY}"
    return f"{found}. Try a smaller learning rate, or clip="
