"""tinyadtn: networks in tensor-network clothes, on a hand-written autodiff engine.

import tinyadtn as ta

data = ta.load_data("mnist-5k")
model = ta.models.fc2(rng=0)
for step in ta.train(model, data, epochs=5):
    print(step.loss)
small = ta.compress(model, {"fc1": 2, "fc2": 2}, rng=0)
"""

from . import draw, models
from .adtn import ADTN
from .augment import crop_and_flip
from .checkpoint import load, save
from .compress import compress, decompress, fit
from .contract import contract
from .conv import avg_pool2d, conv2d, max_pool2d
from .data import Data, Split, batches, load_data
from .decode_free import decoded
from .devices import to_device
from .encodings import Encoding, Frozen
from .engine import Tensor, op
from .factored import LowRank, Tucker
from .featurefile import save_features
from .features import features
from .gradcheck import check_vjp
from .independent import independent_numbers, jacobian_spectrum
from .joint import Part
from .layers import (
    AvgPool2d,
    Conv2d,
    Flatten,
    Linear,
    MaxPool2d,
    ReLU,
    Sequential,
)
from .loss import accuracy, mean_squared_error, softmax_cross_entropy
from .modes import detect_anomaly, no_grad, unprotected
from .module import Module, freeze
from .norm import batch_norm, dropout, local_contrast_norm, local_response_norm
from .norm_layers import BatchNorm2d, Dropout, LocalContrastNorm, LocalResponseNorm, Normalize
from .normalize import channel_statistics
from .ops import (
    absolute,
    add,
    broadcast_to,
    concatenate,
    divide,
    exp,
    getitem,
    leaky_relu,
    log,
    log_softmax,
    matmul,
    max,
    maximum,
    mean,
    min,
    minimum,
    multiply,
    negative,
    power,
    relu,
    reshape,
    sigmoid,
    softmax,
    sqrt,
    subtract,
    sum,
    tanh,
    transpose,
    where,
)
from .optim import SGD, Adam, Cosine, OneCycle
from .reports import report
from .suggest import suggest
from .summary import summary
from .sweep import sweep
from .tensor_train import TensorTrain
from .train import evaluate, predict, train
from .version import __version__
