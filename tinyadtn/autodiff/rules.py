"""The checks on ops, gradients and graphs, and the errors that they raise.

``checked`` calls an op's function, with checks before and after. You do not need this file to
understand ``engine``.
"""

from __future__ import annotations

import contextlib
import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import DTypeError, GraphError, ShapeError, by_keyword, unknown_option
from .anomaly import calling_line, check_finite
from .arraylike import ArrayLike
from .arrays import Array, array_module, require_no_mask
from .dtypes import to_common_dtype
from .modes import looking_for_nan
from .op_errors import error_about_shapes, reading, require_value_and_vjps, shown
from .options import option

# --- forward -------------------------------------------------------------------------------------


def checked(function: Any, joint: bool) -> tuple[str, Callable[[tuple, dict], tuple]]:
    """Wrap an op's function on arrays in checks; return its name and one of (arguments, options).

    That function returns four values: the arrays, in one float dtype; the options, with Tensors
    replaced by their arrays; the value, an array; and the VJPs, one for each array, or one for all
    if joint.
    """
    if not callable(function):
        raise TypeError(f"op decorates a function, got {function!r:.60}; write @op(joint=True)")
    name = getattr(function, "__name__", type(function).__name__).strip("_")
    most = _most_arrays(function)
    of_user = str(function.__module__).partition(".")[0] != __name__.partition(".")[0]
    call = reading(function, name, of_forward=True) if of_user else function

    def evaluate(arguments: tuple, options: dict) -> tuple:
        if len(arguments) > most or (most == math.inf and str in map(type, arguments)):
            raise TypeError(by_keyword(name, function, arguments))
        data, tensors = [], []
        for argument in arguments:
            tensors.append(isinstance(argument, ArrayLike))
            data.append(argument._data if tensors[-1] else argument)
        arrays = to_common_dtype(data, tensors)
        if options:
            options = {k: option(v) for k, v in options.items()}
        try:
            result = call(*arrays, **options)
            value, *vjps = result if isinstance(result, tuple) else (result,)
        except ValueError as error:
            if found := error_about_shapes(error, name, arrays):
                raise found from error
            raise
        except TypeError as error:
            if message := unknown_option(name, function, options):
                raise TypeError(message) from error
            raise
        if of_user:
            require_value_and_vjps(value, vjps, arrays, name, joint)
            vjps = [reading(vjp, f"a VJP of {name}", of_forward=False) for vjp in vjps]
            if isinstance(value, np.ndarray) and not value.flags.writeable:
                with contextlib.suppress(ValueError):  # a view of an argument, as it was before
                    value.setflags(write=True)
        if value.dtype is not (dtype := arrays[0].dtype) and dtype.kind == "f":
            if value.dtype.kind != "f":
                raise DTypeError(f"{name} must return floats for floats, it returned {value.dtype}")
            value = _in_dtype(value, dtype)  # older NumPy widens 0-d float32
        return arrays, options, value, vjps[0] if joint else vjps

    return name, evaluate


def _most_arrays(function: Any) -> float:
    """Return how many arrays an op takes by position."""
    kinds = [parameter.kind for parameter in inspect.signature(function).parameters.values()]
    if inspect.Parameter.VAR_POSITIONAL in kinds:
        return math.inf
    options = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD)
    return sum(kind not in options for kind in kinds)


def look(value: Array, name: str, arrays: list) -> str:
    """Return the caller's line that called the op; NonFiniteError if its result is not finite."""
    line = calling_line()
    check_finite(value, name, line, arrays)
    return line


# --- backward ------------------------------------------------------------------------------------


def root_of(tensor: Any) -> Any:
    """Return the node that backward begins with; GraphError if the tensor has none."""
    if tensor.node is None:
        raise GraphError(
            "nothing to differentiate: not computed from a tensor that requires_grad, or computed "
            "under no_grad()"
        )
    return tensor.node


def first_cotangent(tensor: Any, gradient: Any) -> Array:
    """Return dL/d(tensor), where backward begins: 1, or the caller's, in the tensor's dtype."""
    data = tensor._data
    if gradient is None:
        if tensor.size != 1:
            raise ShapeError(f"backward() of a tensor {tensor.shape} needs gradient= of that shape")
        return array_module(data).ones_like(data)
    g = gradient._data if isinstance(gradient, ArrayLike) else gradient
    g = to_common_dtype([data, g], [True, False])[1]
    g = _in_dtype(g, tensor.dtype)
    if g.shape != tensor.shape:
        raise ShapeError(f"gradient has shape {g.shape}, the tensor has {tensor.shape}")
    if looking_for_nan.get():
        check_finite(g, "the gradient given to backward()", calling_line())
    return g


def check_usable(node: Any, root: Any) -> None:
    """Raise GraphError if an earlier backward freed the node, or if its arrays were changed."""
    if node.vjps is None:
        raise GraphError(
            f"the graph behind {root.name} was freed by an earlier backward(); compute it "
            "again, or add the losses and call backward() once"
        )
    for snapshot in node.snapshots:
        if snapshot.changed():
            raise GraphError(
                f"an array {snapshot.array.shape} was changed after {node.name} had used it, so "
                "that the gradient would be wrong: change it after backward(), or compute with a "
                "copy, numpy.array(a)"
            )


def joint_shares(node: Any, g: Array) -> list:
    """Return the gradients of a joint op, one for each argument, each a separate array."""
    shares, n = node.vjps(g), len(node.sources)
    if not isinstance(shares, (list, tuple)) or len(shares) != n:
        raise GraphError(
            f"{node.name} is joint: its VJP must return a list of {n} gradients, "
            f"got {shown(shares)}"
        )
    twice = n > len(set(map(id, shares)))
    return [share.copy() if hasattr(share, "dtype") and twice else share for share in shares]


def array(share: Any, node: Any, k: int) -> Array:
    """Return the gradient of argument ``k``; GraphError if it is not an array."""
    if isinstance(share, ArrayLike) or not hasattr(share, "dtype"):
        raise GraphError(f"{_gradient(node, k)} must be an array, its VJP returned {shown(share)}")
    require_no_mask(share)
    return share


def cast(share: Array, source: Any, node: Any, k: int) -> Array:
    """Return the gradient of argument ``k`` in the dtype of its source; complex is an error."""
    if share.dtype.kind not in "fiub":
        raise GraphError(f"{_gradient(node, k)} must be real numbers, its VJP gave {share.dtype}")
    return share.astype(source.dtype)


def require_broadcast(shape: tuple[int, ...], narrow: tuple[int, ...], *place: Any) -> None:
    """Raise GraphError unless ``narrow`` broadcasts to ``shape``; ``place``: (node, argument)."""
    new = len(shape) - len(narrow)
    if new < 0 or False in [n == 1 or n == m for n, m in zip(narrow, shape[new:])]:
        prefix = f"{_gradient(*place)} does not fit: " if place else ""
        raise GraphError(f"{prefix}a gradient of shape {shape} for an input of shape {narrow}")


def _gradient(node: Any, k: int) -> str:
    return f"{node.name}: the gradient of its argument {k + 1}"


def look_back(share: Array, total: Array, node: Any) -> None:
    """Raise NonFiniteError if a gradient is not finite, or if a sum of finite ones is not."""
    check_finite(share, f"the gradient of {node.name}", node.line)
    check_finite(total, f"the sum of gradients up to {node.name}", node.line)


def owned(share: Array, g: Array, leaf: Any) -> Array:
    """Return the share as the gradient of a leaf: an array that has no other owner.

    A new array is kept as it is. The cotangent itself, a view and a read-only array are copied. An
    array with another memory order than the leaf's is copied, too.
    """
    if share.shape != leaf._data.shape:
        raise GraphError(
            f"a gradient {share.shape} of an earlier backward() does not fit the tensor, whose "
            f"data has shape {leaf._data.shape} now: set its grad to None"
        )
    new = type(share) is np.ndarray and share.base is None and share is not g
    if new and share.flags.writeable and _lies_well(share, leaf._data):
        return share
    return array_module(share).asarray(share.copy())


def not_copied(node: Any) -> Any:
    """Raise GraphError: a copy of a node would not be what another tensor was computed from."""
    raise GraphError(f"a graph cannot be copied or pickled, and {node.name} is a part of one")


def retain(tensor: Any, g: Array, gradients: dict) -> None:
    """Put the gradient of a result, if it still exists, among those that backward will add."""
    if tensor is not None:
        gradients[tensor] = g.copy()


def _lies_well(gradient: Array, data: Array) -> bool:
    """Return whether the memory order is that of the leaf, or the usual one."""
    return gradient.flags.c_contiguous or gradient.strides == data.strides


def _in_dtype(array: Array, dtype: Any) -> Array:
    return array if array.dtype is dtype else array.astype(dtype, copy=False)
