"""A chain of layers, each with a name: a network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..autodiff.engine import Tensor
from ..errors import ShapeError, TinyADTNError
from ..ops.other_names import OF_MODULES
from .module import Module
from .parameters import Seed, Shape


@contextmanager
def naming(layer: str) -> Iterator[None]:
    """Prefix any ShapeError raised in this block with the layer's name."""
    try:
        yield
    except ShapeError as error:
        raise ShapeError(f"{layer}: {error}") from error


class Sequential(Module):
    """A chain of layers, each with a name that becomes an attribute.

    >>> from tinyadtn import Linear, ReLU
    >>> model = Sequential(fc1=Linear(4, 3, rng=0), relu1=ReLU(), fc2=Linear(3, 2, rng=1))
    >>> model.fc2.weight.shape
    (2, 3)
    """

    def __init__(self, *unnamed: Module, **layers: Module):
        if unnamed:
            given = ", ".join(type(layer).__name__ for layer in unnamed)
            raise TypeError(
                f"layers have names: Sequential(fc1=Linear(4, 3), relu1=ReLU()); got {given} "
                "without"
            )
        for name, layer in layers.items():
            if hasattr(type(self), name) or name == "weight" or "." in name:
                raise TinyADTNError(
                    f"{name!r} means something else in a Sequential: give this layer another name"
                )
            if not isinstance(layer, Module):
                raise TypeError(f"{name} is no layer: expected a Module, got {layer!r}")
            setattr(self, name, layer)

    def __getattr__(self, name: str) -> Any:
        layers = ", ".join(name for name, _ in self.layers())
        hint = f"; write {OF_MODULES[name]}" if name in OF_MODULES else ""
        raise AttributeError(f"no layer {name!r}; there is {layers}{hint}")

    def layers(self) -> Iterator[tuple[str, Module]]:
        """Yield the layers with their names, first to last."""
        return ((name, part) for name, part in vars(self).items() if isinstance(part, Module))

    def shapes(self, shape: Shape) -> Iterator[tuple[str, Module, Shape, Shape]]:
        """Yield (name, layer, input shape, output shape) for every layer; nothing is computed."""
        image = shape
        for name, layer in self.layers():
            with for_images(self.config, image), naming(name):
                after = layer.output_shape(shape)
            yield name, layer, shape, after
            shape = after

    def innermost(self, shape: Shape, path: str = "") -> Iterator[tuple[str, Module, Shape, Shape]]:
        """Yield the same as ``shapes``, but replace a nested Sequential by its layers."""
        for name, layer, before, after in self.shapes(shape):
            if isinstance(layer, Sequential):
                yield from layer.innermost(before, f"{path}{name}.")
            else:
                yield f"{path}{name}", layer, before, after

    def output_shape(self, shape: Shape) -> Shape:
        """Return the output shape of the last layer."""
        return [shape, *(after for _, _, _, after in self.shapes(shape))][-1]

    def multiply_adds(self, shape: Shape) -> int:
        """Count the multiply-adds of all layers."""
        return sum(layer.multiply_adds(before) for _, layer, before, _ in self.shapes(shape))

    def forward(self, x: Tensor, *, training: bool, rng: Seed) -> Tensor:
        """Apply the layers one after another."""
        with for_images(self.config, x.shape[1:]):
            for name, layer in self.layers():
                with naming(name):
                    x = layer(x, training=training, rng=rng)
        return x


@contextmanager
def for_images(config: Any, shape: Shape) -> Iterator[None]:
    """Add to a ShapeError raised in this block that a network of ``ta.models`` is for other images.

    ``config`` is that of the network, ``shape`` that of an image, without the batch axis.
    """
    try:
        yield
    except ShapeError as error:
        if not isinstance(config, dict) or "image_size" not in config:
            raise
        channels, size = config["channels"], config["image_size"]
        if (channels, size, size) == tuple(shape):
            raise
        hint = f" (ta.load_picture: size={size}, channels={channels})" if channels in (1, 3) else ""
        raise ShapeError(
            f"{error}. This {config['model']} takes {channels}×{size}×{size}, and these are "
            f"{'×'.join(map(str, shape))}: build it with their image_size and channels, or give "
            f"inputs that fit{hint}"
        ) from error
