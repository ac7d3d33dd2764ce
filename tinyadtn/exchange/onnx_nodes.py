"""The ONNX operators of every layer: one function per kind of layer, all in the table ``LAYERS``.

The operators are described at https://onnx.ai/onnx/operators.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..autodiff.modes import isolated, no_grad
from ..errors import TinyADTNError
from ..nn import layers, norm_layers, pool_layers
from ..nn.parameters import Shape
from ..nn.surgery import dense
from ..ops.conv import conv2d
from ..ops.pool import pool_window
from ..ops.windows import SlidingWindow, window_over


@dataclass
class Graph:
    """The nodes so far, the constants by name, and the name of the last result.

    ``make_node`` is that of ``onnx.helper``.
    """

    make_node: Callable[..., Any]
    dtype: Any
    nodes: list[Any] = field(default_factory=list)
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    last: str = "images"

    def constant(self, name: str, array: Any) -> str:
        """Add a constant and return its name."""
        self.constants[name] = np.array(array, order="C")
        return name

    def add(self, output: str, operator: str, inputs: list[str], **options: Any) -> str:
        """Add a node with constant options and return the name of its result, now the last one."""
        self.last = f"{output}.out"
        self.nodes.append(self.make_node(operator, inputs, [self.last], name=self.last, **options))
        return self.last


def add_layer(graph: Graph, name: str, layer: Any, shape: Shape) -> None:
    """Add what the layer computes from the last result, which is (n, *shape)."""
    if type(layer) not in LAYERS:
        raise TinyADTNError(
            f"{name}: {type(layer).__name__} has no counterpart in ONNX; there is one for "
            f"{', '.join(kind.__name__ for kind in LAYERS)}"
        )
    LAYERS[type(layer)](graph, name, layer, shape)


@isolated
@no_grad()
def _inputs(graph: Graph, name: str, layer: layers.Linear | layers.Conv2d) -> list[str]:
    """Return the last result, the weight and the bias, if there is one."""
    inputs = [graph.last, graph.constant(f"{name}.weight", dense(layer.weight).numpy())]
    if layer.bias is not None:
        inputs.append(graph.constant(f"{name}.bias", layer.bias.numpy()))
    return inputs


def _linear(graph: Graph, name: str, layer: layers.Linear, shape: Shape) -> None:
    graph.add(name, "Gemm", _inputs(graph, name, layer), transB=1)


def _conv(graph: Graph, name: str, layer: layers.Conv2d, shape: Shape) -> None:
    own = layer.geometry
    window = window_over(shape, layer.weight.shape[2:], own.stride, own.padding, own.dilation)
    graph.add(name, "Conv", _inputs(graph, name, layer), group=own.groups, **_sides(window))


def _sides(window: SlidingWindow) -> dict[str, list[int]]:
    """Return the options of a sliding window; ``pads`` is top, left, bottom, right."""
    return {
        "kernel_shape": list(window.kernel),
        "strides": list(window.stride),
        "pads": [*window.padding, *(window.after or window.padding)],
        "dilations": list(window.dilation),
    }


def _pool(graph: Graph, name: str, layer: Any, shape: Shape) -> None:
    """Add a pool. Programs differ in what they do for ceil_mode, so the padding covers it."""
    window = pool_window((1, *shape), **layer._options())
    options = _sides(window)
    options["pads"][2:] = [_covered(window, axis) for axis in (0, 1)]
    if isinstance(layer, pool_layers.MaxPool2d):
        graph.add(name, "MaxPool", [graph.last], **options)
        return
    # Zeros in the padding count as pixels, but not those beyond it that ceil_mode reads.
    factor = math.prod(window.kernel) / np.outer(*(_counted(window, axis) for axis in (0, 1)))
    mean = graph.add(f"{name}.mean", "AveragePool", [graph.last], count_include_pad=1, **options)
    if (factor != 1).any():
        constant = graph.constant(f"{name}.factor", factor.astype(graph.dtype))
        graph.add(name, "Mul", [mean, constant])


def _last_pixels(window: SlidingWindow, axis: int) -> np.ndarray:
    """Return the pixel after the last one that each window reads; 0 is the first of the image."""
    first = window.stride[axis] * np.arange(window.outputs[axis]) - window.padding[axis]
    return first + window.dilation[axis] * (window.kernel[axis] - 1) + 1


def _covered(window: SlidingWindow, axis: int) -> int:
    """Return the padding at the end with which all windows fit."""
    return max(0, int(_last_pixels(window, axis)[-1]) - window.image[axis])


def _counted(window: SlidingWindow, axis: int) -> np.ndarray:
    """Return how many cells of each window lie before the end of the layer's own padding."""
    end = window.image[axis] + (window.after or window.padding)[axis]
    beyond = np.maximum(0, _last_pixels(window, axis) - end)
    return window.kernel[axis] - -(-beyond // window.dilation[axis])


def _flatten(graph: Graph, name: str, layer: layers.Flatten, shape: Shape) -> None:
    graph.add(name, "Flatten", [graph.last], axis=1)


def _relu(graph: Graph, name: str, layer: layers.ReLU, shape: Shape) -> None:
    graph.add(name, "Relu", [graph.last])


def _dropout(graph: Graph, name: str, layer: norm_layers.Dropout, shape: Shape) -> None:
    """Add nothing: after training it returns its input."""


def _normalize(graph: Graph, name: str, layer: norm_layers.Normalize, shape: Shape) -> None:
    mean, std = (
        graph.constant(f"{name}.{part}", getattr(layer, part).numpy()[:, None, None])
        for part in ("mean", "std")
    )
    centered = graph.add(f"{name}.centered", "Sub", [graph.last, mean])
    graph.add(name, "Div", [centered, std])


def _batch_norm(graph: Graph, name: str, layer: norm_layers.BatchNorm2d, shape: Shape) -> None:
    parts = ("scale", "shift", "running_mean", "running_variance")
    arrays = [graph.constant(f"{name}.{part}", getattr(layer, part).numpy()) for part in parts]
    graph.add(name, "BatchNormalization", [graph.last, *arrays], epsilon=layer.epsilon)


def _response(graph: Graph, name: str, layer: norm_layers.LocalResponseNorm, shape: Shape) -> None:
    alpha = layer.alpha * layer.size  # ONNX divides it by the size
    options = {"size": layer.size, "alpha": alpha, "beta": layer.beta, "bias": layer.k}
    graph.add(name, "LRN", [graph.last], **options)


def _contrast(graph: Graph, name: str, layer: norm_layers.LocalContrastNorm, shape: Shape) -> None:
    """v = x - local mean;  y = v / max(σ, mean of σ), σ² = local mean of v²: ``ops.local_norm``."""
    x, half = graph.last, layer.size // 2
    profile = np.exp(-0.5 * (4 * (np.arange(layer.size) - half) / layer.size) ** 2)
    kernel = (profile[:, None] * profile).astype(graph.dtype)[None, None]
    ones = np.ones((1, 1, *shape[1:]), graph.dtype)
    window = graph.constant(f"{name}.window", kernel)
    inside = graph.constant(f"{name}.inside", conv2d(ones, kernel, padding=half).numpy())
    epsilon = graph.constant(f"{name}.epsilon", np.array(1e-8, graph.dtype))
    channels = graph.constant(f"{name}.channels", np.array([1], np.int64))
    pixels = graph.constant(f"{name}.pixels", np.array([1, 2, 3], np.int64))

    def local_mean(of: str, output: str) -> str:
        total = graph.add(f"{output}.of_channels", "ReduceMean", [of, channels], keepdims=1)
        total = graph.add(f"{output}.sum", "Conv", [total, window], pads=[half] * 4)
        return graph.add(output, "Div", [total, inside])

    v = graph.add(f"{name}.v", "Sub", [x, local_mean(x, f"{name}.mean")])
    square = local_mean(graph.add(f"{name}.v2", "Mul", [v, v]), f"{name}.variance")
    spread = graph.add(f"{name}.above", "Add", [square, epsilon])
    spread = graph.add(f"{name}.spread", "Sqrt", [spread])
    typical = graph.add(f"{name}.typical", "ReduceMean", [spread, pixels], keepdims=1)
    graph.add(name, "Div", [v, graph.add(f"{name}.largest", "Max", [spread, typical])])


LAYERS: dict[type, Callable[..., None]] = {
    layers.Linear: _linear,
    layers.Conv2d: _conv,
    pool_layers.MaxPool2d: _pool,
    pool_layers.AvgPool2d: _pool,
    layers.Flatten: _flatten,
    layers.ReLU: _relu,
    norm_layers.Normalize: _normalize,
    norm_layers.BatchNorm2d: _batch_norm,
    norm_layers.LocalResponseNorm: _response,
    norm_layers.LocalContrastNorm: _contrast,
    norm_layers.Dropout: _dropout,
}
