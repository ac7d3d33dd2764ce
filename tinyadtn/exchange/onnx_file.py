"""Write a network as an ONNX file, its weights decoded, for programs that run networks.

The file holds a graph: nodes with an operator each (``onnx_nodes`` has those of every layer), the
weights as constants, and the shapes of input and output.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from ..compression.encoded_model import image_of
from ..errors import SizeLimitError, TinyADTNError
from ..files.atomic import replacing
from ..nn.parameters import Shape
from ..nn.sequential import Sequential
from .onnx_nodes import Graph, add_layer
from .optional import optional

OPSET = 19  # of 2023: the first with a dilated AveragePool
LARGEST = 2**31 - 1  # bytes of a protobuf file


def save_onnx(path: str | os.PathLike[str], model: Sequential, image: Shape | None = None) -> None:
    """Write the network with decoded weights to an ONNX file, for inference.

    The input ``images`` is (n, c, h, w) with any n, of the dtype of the model; ``image`` is
    (c, h, w), and for a model of ``ta.models`` it is known. The output ``logits`` is what the model
    returns: no softmax. Dropout is left out, and batch normalization uses its running statistics.
    A file that is there is replaced, atomically; ``OSError`` for a folder, a device or a pipe.

    Raises TinyADTNError if onnx is not installed, and for a layer that is not of this package;
    SizeLimitError for more than 2 GiB of weights, which such a file cannot hold.
    """
    onnx = optional("onnx")
    if not isinstance(model, Sequential):
        raise TinyADTNError(f"save_onnx needs a Sequential, got {type(model).__name__}")
    image = tuple(image_of(model, image))
    dtype = np.result_type(np.float32, *(t.dtype for _, t in model.named_parameters()))
    graph = Graph(onnx.helper.make_node, dtype)
    for name, layer, before, _ in model.innermost(image):
        add_layer(graph, name, layer, before)
    size = sum(array.nbytes for array in graph.constants.values())
    if size > LARGEST:
        raise SizeLimitError(
            f"the weights take {size:,} bytes, an ONNX file holds {LARGEST:,}; convert the model "
            "to float32, or save it with ta.save_safetensors"
        )
    with replacing(Path(path)) as file:
        file.write(_built(onnx, graph, image, model.output_shape(image)).SerializeToString())


def _built(onnx: Any, graph: Graph, image: Shape, output: Shape) -> Any:
    """Return the graph as a checked ``onnx.ModelProto``."""
    make = onnx.helper
    kind = make.np_dtype_to_tensor_dtype(graph.dtype)
    nodes = [*graph.nodes, make.make_node("Identity", [graph.last], ["logits"], name="logits")]
    constants = [onnx.numpy_helper.from_array(a, name) for name, a in graph.constants.items()]
    inputs = [make.make_tensor_value_info("images", kind, ["n", *image])]
    outputs = [make.make_tensor_value_info("logits", kind, ["n", *output])]
    built = make.make_model(
        make.make_graph(nodes, "network", inputs, outputs, constants),
        opset_imports=[make.make_opsetid("", OPSET)],
        ir_version=9,  # of 2023, as the operators
        producer_name="tinyadtn",
    )
    onnx.checker.check_model(built, full_check=True)
    return built
