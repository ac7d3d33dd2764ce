"""tinyadtn: neural networks with weights in tensor networks, on a hand-written autodiff engine.

import tinyadtn as ta

data = ta.load_data("mnist-5k")
model = ta.models.fc2(rng=0)
for step in ta.train(model, data, epochs=5):
    print(step.loss)
small = ta.compress(model, {"fc1": 2, "fc2": 2}, rng=0)

To read the code, begin with ``tiny``, the whole idea on one page. Then read one folder per idea, in
this order: autodiff, ops, files, data, nn, tensor_networks, decode_free, encodings, compression,
exchange, training, draw, studies, cli. ``teach`` is for the course. Each ``__init__.py`` lists the
files of its folder.
"""

from typing import TYPE_CHECKING

from . import draw
from .autodiff.engine import Tensor, op
from .autodiff.gradcheck import check_vjp
from .autodiff.modes import by_definition, detect_anomaly, no_grad, unprotected
from .compression.checkpoint import load, save
from .compression.compress import compress, decompress
from .compression.fitting import fit
from .compression.report import report
from .compression.suggest import suggest
from .compression.summary import summary
from .data.loading import load_data
from .data.picture import load_picture
from .data.preprocess import channel_statistics, crop_and_flip
from .data.saved_data import save_data, save_features
from .data.splits import Data, Split, batches
from .decode_free.precomputed import decoded
from .encodings.adtn import ADTN
from .encodings.dense import Dense
from .encodings.encoding import Encoding
from .encodings.frozen import Frozen
from .encodings.independent import independent_numbers, jacobian_spectrum
from .encodings.joint import SharedWeight
from .encodings.joint import SharedWeight as Part  # its first name
from .encodings.low_rank import LowRank
from .encodings.mixt import MixT
from .encodings.pruned import Pruned
from .encodings.quantized import Quantized
from .encodings.tensor_train import TensorTrain
from .encodings.tucker import Tucker
from .encodings.update import Update
from .errors import nearest as _nearest
from .exchange.from_torch import load_from_torch
from .exchange.onnx_file import save_onnx
from .exchange.safetensors_file import load_safetensors, save_safetensors
from .exchange.to_torch import to_torch, to_torch_state
from .exchange.torchvision import from_torchvision
from .nn import models
from .nn.devices import to_device
from .nn.layers import Conv2d, Flatten, Linear, ReLU
from .nn.module import Module
from .nn.norm_layers import BatchNorm2d, Dropout, LocalContrastNorm, LocalResponseNorm, Normalize
from .nn.optim import SGD, Adam
from .nn.pool_layers import AvgPool2d, MaxPool2d
from .nn.schedules import Cosine, OneCycle
from .nn.sequential import Sequential
from .nn.surgery import freeze
from .ops.basic import (
    absolute,
    add,
    clip,
    divide,
    exp,
    expm1,
    leaky_relu,
    log,
    log1p,
    matmul,
    maximum,
    minimum,
    multiply,
    negative,
    power,
    relu,
    sigmoid,
    sqrt,
    subtract,
    tanh,
    where,
)
from .ops.contract import contract
from .ops.conv import conv2d
from .ops.conv_transpose import conv_transpose2d
from .ops.cumulative import cumsum, prod
from .ops.dropout import dropout
from .ops.joining import concatenate, pad, repeat, stack
from .ops.local_norm import local_contrast_norm, local_response_norm
from .ops.loss import (
    accuracy,
    binary_cross_entropy_with_logits,
    mean_squared_error,
    softmax_cross_entropy,
)
from .ops.norm import batch_norm
from .ops.other_names import other_name as _other_name
from .ops.pool import avg_pool2d, max_pool2d
from .ops.reductions import max, mean, min, sum
from .ops.shapes import broadcast_to, expand_dims, getitem, reshape, squeeze, transpose
from .ops.softmax import log_softmax, logsumexp, softmax
from .ops.statistics import norm, std, var
from .ops.trigonometric import arctan, arctan2, cos, sin, tan
from .studies.sensitivity import sensitivity
from .studies.sweep import sweep
from .training.evaluate import evaluate, predict
from .training.features import features
from .training.train import train
from .version import __version__

__all__ = [
    "ADTN",
    "SGD",
    "Adam",
    "AvgPool2d",
    "BatchNorm2d",
    "Conv2d",
    "Cosine",
    "Data",
    "Dense",
    "Dropout",
    "Encoding",
    "Flatten",
    "Frozen",
    "Linear",
    "LocalContrastNorm",
    "LocalResponseNorm",
    "LowRank",
    "MaxPool2d",
    "MixT",
    "Module",
    "Normalize",
    "OneCycle",
    "Part",
    "Pruned",
    "Quantized",
    "ReLU",
    "Sequential",
    "SharedWeight",
    "Split",
    "Tensor",
    "TensorTrain",
    "Tucker",
    "Update",
    "__version__",
    "absolute",
    "accuracy",
    "add",
    "arctan",
    "arctan2",
    "avg_pool2d",
    "batch_norm",
    "batches",
    "binary_cross_entropy_with_logits",
    "broadcast_to",
    "by_definition",
    "channel_statistics",
    "check_vjp",
    "clip",
    "compress",
    "concatenate",
    "contract",
    "conv2d",
    "conv_transpose2d",
    "cos",
    "crop_and_flip",
    "cumsum",
    "decoded",
    "decompress",
    "detect_anomaly",
    "divide",
    "draw",
    "dropout",
    "evaluate",
    "exp",
    "expand_dims",
    "expm1",
    "features",
    "fit",
    "freeze",
    "from_torchvision",
    "getitem",
    "independent_numbers",
    "jacobian_spectrum",
    "leaky_relu",
    "load",
    "load_data",
    "load_from_torch",
    "load_picture",
    "load_safetensors",
    "local_contrast_norm",
    "local_response_norm",
    "log",
    "log1p",
    "log_softmax",
    "logsumexp",
    "matmul",
    "max",
    "max_pool2d",
    "maximum",
    "mean",
    "mean_squared_error",
    "min",
    "minimum",
    "models",
    "multiply",
    "negative",
    "no_grad",
    "norm",
    "op",
    "pad",
    "power",
    "predict",
    "prod",
    "relu",
    "repeat",
    "report",
    "reshape",
    "save",
    "save_data",
    "save_features",
    "save_onnx",
    "save_safetensors",
    "sensitivity",
    "sigmoid",
    "sin",
    "softmax",
    "softmax_cross_entropy",
    "sqrt",
    "squeeze",
    "stack",
    "std",
    "subtract",
    "suggest",
    "sum",
    "summary",
    "sweep",
    "tan",
    "tanh",
    "to_device",
    "to_torch",
    "to_torch_state",
    "train",
    "transpose",
    "unprotected",
    "var",
    "where",
]


if not TYPE_CHECKING:  # a type checker reports unknown names itself

    def __getattr__(name: str) -> None:
        """Raise AttributeError with the public name that is nearest to an unknown one."""
        hint = "" if name.startswith("_") else _other_name(name)
        if not name.startswith("_"):
            hint = hint or _nearest(name, __all__, 0.7) or _nearest(name.lower(), __all__, 0.7)
        raise AttributeError(f"module 'tinyadtn' has no attribute {name!r}{hint}")


def __dir__() -> list[str]:
    return __all__  # the rooms are not part of the interface
