"""Values from a torch network, or from any arrays with torch's names, into a model."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

import numpy as np

from ..autodiff.arrays import require_no_mask
from ..autodiff.engine import Tensor
from ..errors import NonFiniteError, ShapeError, TinyADTNError, nearest
from ..nn.members import walk
from ..nn.module import Module, require_model
from ..nn.norm_layers import BatchNorm2d, Normalize
from ..nn.weights import Weight
from ..tables import printable

# Where torch's name of a tensor is not ours: batch normalization.
TORCH_WORDS = {"scale": "weight", "shift": "bias", "running_variance": "running_var"}


def load_from_torch(model: Module, network: Any, *, names: Mapping[str, str] | None = None) -> None:
    """Set all parameters and buffers of the model from a torch network.

    ``network`` is a ``torch.nn.Module``, its ``state_dict()``, or a dict of arrays. ``names`` maps
    our names of layers to torch's, such as ``{"conv1": "features.0"}``; a layer that is not in it
    has the same name in both, as in what ``to_torch`` returns; a network that is a single layer is
    "". torch's words for the tensors of
    a batch normalization are translated. ``normalize`` stays as it is if torch has no such layer.

    Nothing is changed unless everything fits. Raises ShapeError for another shape, and for tensors
    that are missing or left over; TinyADTNError for a name that the model does not have, and for
    tensors that NumPy cannot hold; NonFiniteError for NaN or infinite values, and for those that
    the model's dtype cannot hold; DTypeError for masked arrays.

    >>> import tinyadtn as ta
    >>> model = ta.Sequential(fc1=ta.Linear(3, 2))
    >>> state = {"0.weight": np.ones((2, 3)), "0.bias": np.zeros(2)}
    >>> load_from_torch(model, state, names={"fc1": "0"})
    >>> model(np.ones((1, 3))).data
    array([[3., 3.]])
    """
    require_model("load_from_torch", model)
    state = state_of(network)
    theirs_of = TorchNames(model, names, state)
    every = {ours: theirs_of(ours) for ours, _ in model.named_tensors()}
    wanted = {o: t for o, t in every.items() if t in state or not theirs_of.is_normalize(o)}
    missing = [ours for ours, theirs in wanted.items() if theirs not in state]
    if missing:
        raise ShapeError(_about_missing(model, wanted, missing, state))
    left = state.keys() - {*wanted.values(), *theirs_of.shared(model)}
    left = {name for name in left if not name.endswith("num_batches_tracked")}
    if left:
        raise ShapeError(f"the model has no place for {_listed(left)}; it has {_listed(wanted)}")
    arrays = {ours: _array(theirs, state[theirs]) for ours, theirs in wanted.items()}
    tensors = dict(model.named_tensors())
    floats = {theirs: arrays[o] for o, theirs in wanted.items() if arrays[o].dtype.kind == "f"}
    wrong = [theirs for theirs, array in floats.items() if not np.isfinite(array).all()]
    if wrong:
        raise NonFiniteError(f"the torch network has values that are not finite: {_listed(wrong)}")
    large = [wanted[o] for o, t in tensors.items() if o in wanted and not _fits(arrays[o], t.dtype)]
    if large:
        raise NonFiniteError(
            f"{_listed(large)} would become infinite in the dtype of the model; build it in float64"
        )
    kept = {name: t.numpy() for name, t in tensors.items() if name not in wanted}
    model.load_arrays({**arrays, **kept})


def state_of(network: Any) -> dict[str, Any]:
    """Return the tensors by name of a torch module, a ``state_dict`` or a dict of arrays."""
    is_module = hasattr(network, "state_dict") and not isinstance(network, type)
    state = network.state_dict() if is_module else network
    if not isinstance(state, Mapping):
        raise TinyADTNError(
            "expected a torch module, its state_dict() or a dict of arrays, got "
            f"{type(network).__name__}"
        )
    inner = next((name for name, value in state.items() if isinstance(value, Mapping)), None)
    if inner is not None:
        raise TinyADTNError(
            f"{inner!r} holds a dict, not a tensor; pass state[{inner!r}] of this dict"
        )
    return {str(name): value for name, value in state.items()}


def _fits(array: np.ndarray, dtype: Any) -> bool:
    with np.errstate(over="ignore"):
        return array.dtype.kind != "f" or bool(np.isfinite(array.astype(dtype)).all())


class TorchNames:
    """torch's name of each tensor of a model, by ours: ``TorchNames(model, names)("fc1.weight")``.

    The name of a layer, or of a module around it, is mapped by ``names``. The tensors of a batch
    normalization get torch's words, unless ``state`` has ours. TinyADTNError if ``names`` has a
    layer that the model does not have.
    """

    def __init__(
        self, model: Module, names: Mapping[str, str] | None, state: Container[str] = ()
    ) -> None:
        if not isinstance(names, (Mapping, type(None))) or not all(
            isinstance(name, str) for pair in (names or {}).items() for name in pair
        ):
            raise TinyADTNError(
                "names must be a dict from our names to torch's, such as "
                f'{{"conv1": "features.0"}}, got {names!r}'
            )
        self.names, self._state = dict(names or {}), state
        self._modules = dict(model.named_modules())
        for layer in self.names:
            if layer not in self._modules:
                near = nearest(layer, self._modules)
                raise TinyADTNError(f"names: the model has no layer {layer!r}{near}")

    def __call__(self, ours: str) -> str:
        layer, _, part = ours.rpartition(".")
        outer = max((n for n in self.names if ours.startswith(f"{n}.")), key=len, default=layer)
        theirs = (self.names.get(outer, outer) + ours[len(outer) :]).removeprefix(".")
        if isinstance(self._modules.get(layer), BatchNorm2d) and theirs not in self._state:
            theirs = theirs.removesuffix(part) + TORCH_WORDS.get(part, part)
        return theirs

    def is_normalize(self, ours: str) -> bool:
        """Return whether a tensor is of a ``Normalize``, which torch's networks do not have."""
        return isinstance(self._modules.get(ours.rpartition(".")[0]), Normalize)

    def shared(self, model: Module) -> list[str]:
        """Return torch's names of all tensors; one that several layers share is listed at each."""
        known = {id(tensor) for _, tensor in model.named_tensors()}
        return [self(path) for path, part, *_ in walk(model) if id(part) in known]


def _about_missing(
    model: Module, wanted: Mapping[str, str], missing: list[str], state: Mapping[str, Any]
) -> str:
    first = missing[0]
    before = next((n.removesuffix(wanted[first]) for n in state if n.endswith(wanted[first])), "")
    if before and all(before + theirs in state for theirs in wanted.values()):
        return (
            f"torch's names begin with {before!r}, ours do not; pass "
            f"{{name.removeprefix({before!r}): value for name, value in state.items()}}"
        )
    near = nearest(wanted[first], state) or "."
    message = (
        f"{len(missing)} of {len(wanted)} tensors are missing, the first is {first}: no tensor is "
        f"called {wanted[first]!r}{near} There is {_listed(state)}; "
    )
    weight = dict(model.named_modules()).get(f"{first.partition('.weight.')[0]}.weight")
    if isinstance(weight, Weight):
        return message + "its layer is encoded: load dense weights before ta.compress and ta.fit"
    return message + 'map other names of layers with names={"conv1": "features.0"}'


def _array(name: str, value: Any) -> np.ndarray:
    """Return a torch tensor or an array as an array; bfloat16, which NumPy lacks, as float32."""
    if hasattr(value, "detach") and not isinstance(value, Tensor):
        try:
            value = value.detach().cpu()
            value = value.float() if str(value.dtype) == "torch.bfloat16" else value
            value = value.numpy()
        except (TypeError, NotImplementedError, RuntimeError) as error:  # sparse, quantized, meta
            raise TinyADTNError(
                f"{name} cannot become an array ({error}); give a dense tensor of float32"
            ) from error
    require_no_mask(value)
    if not hasattr(value, "dtype"):
        raise TinyADTNError(f"{name} is a {type(value).__name__}, not a tensor or an array")
    return np.asarray(value)


def _listed(names: Any) -> str:
    """Return the names as text, at most eight of them."""
    first = sorted(names)[:8] or ["nothing"]
    return printable(", ".join(first)) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
