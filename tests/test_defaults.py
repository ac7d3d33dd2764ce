"""What an option is when it is left out is a promise: notebooks and results rest on it.

Whoever changes a default changes it here too, and knows that old numbers are measured anew.
"""

import inspect
import math
from operator import attrgetter

import pytest

import tinyadtn as ta

DEFAULTS = {
    "ADTN": {
        "depth": 1,
        "activation": "relu",
        "wiring": "brick_wall",
        "order": "mirrored",
        "axes": None,
        "site_dim": 2,
        "start": "orthogonal",
        "normalized": True,
        "rng": None,
    },
    "ADTN.fit": {"steps": 500, "learning_rate": 0.02, "show_progress": True, "label": "fit"},
    "ADTN.like": {"depth": 1},
    "Adam": {
        "learning_rate": 0.001,
        "betas": (0.9, 0.999),
        "epsilon": 1e-08,
        "weight_decay": 0.0,
        "clip": None,
    },
    "AvgPool2d": {"stride": None, "padding": 0, "dilation": 1, "ceil_mode": False},
    "BatchNorm2d": {"momentum": 0.1, "epsilon": 1e-05},
    "Conv2d": {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "bias": True, "rng": None},
    "Cosine": {"floor": 0.0},
    "Data": {"name": "arrays", "origin": None},
    "Dense": {"axes": None, "rng": None},
    "Dropout": {"rate": 0.5},
    "Frozen": {"axes": None, "rng": None},
    "Linear": {"bias": True, "rng": None},
    "LocalContrastNorm": {"size": 9},
    "LocalResponseNorm": {"size": 5, "k": 2.0, "alpha": 0.0001, "beta": 0.75},
    "LowRank": {"axes": None, "rng": None},
    "MaxPool2d": {"stride": None, "padding": 0, "dilation": 1, "ceil_mode": False},
    "MixT": {"modes": None, "width": 2, "axes": None, "rng": None},
    "OneCycle": {"warmup": 0.3},
    "Pruned": {"axes": None, "rng": None},
    "Quantized": {"bits": 8, "of": None, "axes": None, "rng": None},
    "SGD": {"momentum": 0.0, "weight_decay": 0.0, "clip": None},
    "Tensor": {"requires_grad": False},
    "Tensor.backward": {"gradient": None},
    "Tensor.max": {"axis": None, "keepdims": False},
    "Tensor.mean": {"axis": None, "keepdims": False},
    "Tensor.min": {"axis": None, "keepdims": False},
    "Tensor.sum": {"axis": None, "keepdims": False},
    "Split": {"features": False},
    "TensorTrain": {"modes": None, "ranks": 4, "axes": None, "rng": None},
    "Tucker": {"axes": None, "rng": None},
    "avg_pool2d": {"stride": None, "padding": 0, "dilation": 1, "ceil_mode": False},
    "Update": {"of": None, "axes": None, "rng": None},
    "batch_norm": {"mean": None, "variance": None, "epsilon": 1e-05, "observe": None},
    "batches": {"skip": 0},
    "check_vjp": {"method": "smooth", "tolerance": None, "step": None, "seed": 0},
    "clip": {"min": -math.inf, "max": math.inf},
    "conv_transpose2d": {
        "stride": 1,
        "padding": 0,
        "output_padding": 0,
        "dilation": 1,
        "groups": 1,
    },
    "logsumexp": {"axis": None, "keepdims": False},
    "norm": {"axis": None, "keepdims": False},
    "pad": {"value": 0.0},
    "prod": {"axis": None, "keepdims": False},
    "squeeze": {"axis": None},
    "stack": {"axis": 0},
    "std": {"axis": None, "keepdims": False, "ddof": 0},
    "var": {"axis": None, "keepdims": False, "ddof": 0},
    "Tensor.clip": {"min": -math.inf, "max": math.inf},
    "Tensor.flatten": {"start": 0},
    "Tensor.prod": {"axis": None, "keepdims": False},
    "Tensor.softmax": {"axis": -1},
    "Tensor.squeeze": {"axis": None},
    "Tensor.std": {"axis": None, "keepdims": False},
    "compress": {"rng": ..., "train_others": True},
    "concatenate": {"axis": 0},
    "conv2d": {"stride": 1, "padding": 0, "dilation": 1, "groups": 1},
    "crop_and_flip": {"padding": 4},
    "evaluate": {"batch_size": 500, "loss": ta.softmax_cross_entropy},
    "features": {"show_progress": True},
    "leaky_relu": {"slope": 0.01},
    "load": {"into": None},
    "load_from_torch": {"names": None},
    "load_safetensors": {"into": None, "names": None},
    "save_onnx": {"image": None},
    "load_data": {"source": "mnist-5k", "size": None},
    "load_picture": {"size": 28, "channels": 1, "ink": False},
    "local_contrast_norm": {"size": 9, "epsilon": 1e-08},
    "local_response_norm": {"size": 5, "k": 2.0, "alpha": 0.0001, "beta": 0.75},
    "log_softmax": {"axis": -1},
    "max": {"axis": None, "keepdims": False},
    "max_pool2d": {"stride": None, "padding": 0, "dilation": 1, "ceil_mode": False},
    "mean": {"axis": None, "keepdims": False},
    "min": {"axis": None, "keepdims": False},
    "op": {"function": None, "joint": False},
    "report": {"timing": False, "batch_size": 128, "image": None},
    "softmax": {"axis": -1},
    "softmax_cross_entropy": {"label_smoothing": 0.0},
    "independent_numbers": {"rng": 0},
    "jacobian_spectrum": {"rng": 0},
    "sensitivity": {"layers": "*", "fit": True, "epochs": 0, "seed": 0},
    "suggest": {"axes": None},
    "sum": {"axis": None, "keepdims": False},
    "summary": {"image": None},
    "sweep": {
        "out": None,
        "executor": None,
        "workers": None,
        "blas_threads": None,
        "device": "cpu",
        "rows": (),
        "retry_failed": False,
        "show_progress": True,
    },
    "to_torch_state": {"names": None},
    "train": {"out": None, "resume": None, "overwrite": False, "save_minutes": 5.0},
    "training.plan.TrainingPlan": {
        "epochs": 10,
        "batch_size": 128,
        "optimizer": "adam",
        "learning_rate": 0.001,
        "schedule": "one_cycle",
        "loss": "softmax_cross_entropy",
        "momentum": 0.9,
        "weight_decay": 0.0,
        "clip": None,
        "label_smoothing": 0.0,
        "augment": False,
        "drop_last": False,
        "seed": 0,
    },  # the options of train
    "transpose": {"axes": None},
    "models.alexnet": {
        "num_classes": 10,
        "image_size": 32,
        "channels": 3,
        "groups": 1,
        "widths": (4096, 4096),
        "rng": None,
    },
    "models.fc2": {"num_classes": 10, "image_size": 28, "channels": 1, "hidden": 256, "rng": None},
    "models.head": {
        "num_classes": 10,
        "image_size": 1,
        "channels": 512,
        "widths": (4096, 4096),
        "rng": None,
    },
    "models.lenet5": {
        "num_classes": 10,
        "image_size": 28,
        "channels": 1,
        "widths": (120, 84),
        "rng": None,
    },
    "models.vgg16": {
        "num_classes": 10,
        "image_size": 32,
        "channels": 3,
        "batch_norm": None,
        "widths": (4096, 4096),
        "rng": None,
    },
    "models.zfnet": {
        "num_classes": 10,
        "image_size": 32,
        "channels": 3,
        "widths": (4096, 4096),
        "rng": None,
    },
}


def defaults(thing):
    options = inspect.signature(thing).parameters.items()
    return {name: o.default for name, o in options if o.default is not inspect.Parameter.empty}


@pytest.mark.parametrize("name", DEFAULTS)
def test_what_is_left_out(name):
    found = defaults(attrgetter(name)(ta))
    assert found == DEFAULTS[name]
    assert {k: type(v) for k, v in found.items()} == {k: type(v) for k, v in DEFAULTS[name].items()}


def test_everything_public_with_an_option_is_here():
    public = {f"models.{name}": make for name, make in ta.models.MODELS.items()}
    public |= {n: t for n, t in vars(ta).items() if inspect.isclass(t) or inspect.isfunction(t)}
    with_options = {n for n, t in public.items() if not n.startswith("_") and defaults(t)}
    assert with_options - DEFAULTS.keys() == set(), "new: a row in DEFAULTS"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("cross_entropy", "; write ta.softmax_cross_entropy(logits, labels=labels)"),
        ("crossentropy", "; did you mean softmax_cross_entropy?"),
        ("CrossEntropyLoss", "; write ta.softmax_cross_entropy(logits, labels=labels)"),
        ("load_model", "; write ta.load(path)"),
        ("utils", ""),  # multiply
        ("nan", ""),  # tan
        ("Identity", ""),  # sensitivity
        ("Linaer", "; did you mean Linear?"),
        ("zzz", ""),
        ("__path_of__", ""),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest_public_one(name, hint):
    with pytest.raises(AttributeError) as raised:
        getattr(ta, name)
    assert str(raised.value) == f"module 'tinyadtn' has no attribute {name!r}{hint}"
    assert not hasattr(ta, name)
