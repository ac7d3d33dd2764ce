"""What each op refuses: op, arguments, options, error class, a pattern found in the message."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import tinyadtn as ta
from tinyadtn.errors import DTypeError, GraphError, ShapeError, SizeLimitError


def _zeros(*shapes: tuple) -> tuple:
    return tuple(np.zeros(shape) for shape in shapes)


_UNBROADCASTABLE = _zeros((2, 3), (4,))

REFUSED: list[tuple[str, Callable, tuple, dict, type, str | None]] = [
    *(
        (function.__name__, function, _UNBROADCASTABLE, {}, ShapeError, r"\(2, ?3\).*\(4,\)")
        for function in (ta.add, ta.subtract, ta.multiply, ta.divide, ta.power)
    ),
    ("arctan2", ta.arctan2, _UNBROADCASTABLE, {}, ShapeError, r"\(2, ?3\)"),
    ("maximum", ta.maximum, _UNBROADCASTABLE, {}, ShapeError, r"\(2, ?3\)"),
    ("minimum", ta.minimum, _UNBROADCASTABLE, {}, ShapeError, r"\(2, ?3\)"),
    ("where", ta.where, (np.ones(2, bool), *_zeros((3,), ())), {}, ShapeError, r"\(3,\)"),
    *(
        (f.__name__, f, (np.zeros(2, np.complex64),), {}, DTypeError, "complex64")
        for f in (
            *(ta.negative, ta.exp, ta.log, ta.sqrt, ta.absolute, ta.tanh, ta.sigmoid, ta.expm1),
            *(ta.log1p, ta.sin, ta.cos, ta.tan, ta.arctan),
        )
    ),
    ("relu", ta.relu, (np.zeros(2, np.float16),), {}, DTypeError, "float16"),
    ("leaky_relu", ta.leaky_relu, (np.array([object()]),), {}, DTypeError, "object"),
    ("matmul", ta.matmul, _zeros((2, 3), (4, 5)), {}, ShapeError, "3 columns.*4"),
    ("matmul", ta.matmul, _zeros((), (4, 5)), {}, ShapeError, r"\(\)"),
    ("matmul", ta.matmul, _zeros((2, 3, 4), (5, 4, 6)), {}, ShapeError, r"\(2, ?3, ?4\)"),
    ("sum", ta.sum, _zeros((2, 3)), {"axis": 2}, ShapeError, "axis 2"),
    ("sum", ta.sum, _zeros((2, 3)), {"axis": (1, -1)}, ShapeError, "twice"),
    ("mean", ta.mean, _zeros((2, 0)), {}, ShapeError, r"\(2, 0\)"),
    ("mean", ta.mean, _zeros((2, 3)), {"axis": -3}, ShapeError, "axis -3"),
    *(
        (f.__name__, f, ([ta.Tensor([1.0]), ta.Tensor([2.0])],), {}, DTypeError, "list of tensors")
        for f in (ta.sum, ta.mean, ta.max)
    ),
    ("max", ta.max, _zeros((2, 0)), {"axis": 1}, ShapeError, r"\(2, 0\)"),
    ("min", ta.min, _zeros((2, 0)), {}, ShapeError, r"\(2, 0\)"),
    ("max", ta.max, _zeros((2, 3)), {"axis": 5}, ShapeError, "axis 5"),
    ("softmax", ta.softmax, _zeros((2, 3)), {"axis": 2}, ShapeError, "axis 2"),
    ("softmax", ta.softmax, _zeros((2, 0)), {}, ShapeError, r"\(2, 0\)|zero-size"),
    ("log_softmax", ta.log_softmax, _zeros((2, 3)), {"axis": -3}, ShapeError, "axis -3"),
    ("reshape", ta.reshape, _zeros((2, 3)), {"shape": (4, 2)}, ShapeError, r"6 numbers.*\(4, 2\)"),
    ("reshape", ta.reshape, _zeros((2, 3)), {"shape": (-1, 4)}, ShapeError, r"\(2, 3\)"),
    ("transpose", ta.transpose, _zeros((2, 3)), {"axes": (0,)}, ShapeError, "each of them once"),
    ("transpose", ta.transpose, _zeros((2, 3)), {"axes": (0, 0)}, ShapeError, "twice"),
    ("broadcast_to", ta.broadcast_to, _zeros((2, 3)), {"shape": (2, 4)}, ShapeError, r"\(2, 4\)"),
    ("concatenate", ta.concatenate, _zeros((2, 3), (3, 3)), {"axis": 1}, ShapeError, r"\(3, 3\)"),
    ("concatenate", ta.concatenate, _zeros((2, 3), (2,)), {}, ShapeError, r"\(2,\)"),
    ("concatenate", ta.concatenate, _zeros((2, 3)), {"axis": 2}, ShapeError, "axis 2"),
    ("concatenate", ta.concatenate, (), {}, ShapeError, None),
    *(
        (f.__name__, f, _zeros((2, 3)), {"axis": 2}, ShapeError, "axis 2")
        for f in (ta.prod, ta.logsumexp, ta.cumsum, ta.var, ta.std, ta.norm)
    ),
    ("logsumexp", ta.logsumexp, _zeros((2, 0)), {"axis": 1}, ShapeError, r"\(2, 0\).*zero-size"),
    ("norm", ta.norm, _zeros((2, 0)), {"axis": 1}, ShapeError, r"\(2, 0\).*zero-size"),
    ("cumsum", ta.cumsum, _zeros((2, 3)), {}, TypeError, "axis"),
    ("var", ta.var, _zeros((0, 3)), {"axis": 0}, ShapeError, "no elements"),
    ("std", ta.std, _zeros((1, 3)), {"axis": 0, "ddof": 1}, ShapeError, "more than 1 .*got 1"),
    *(
        (f.__name__, f, _zeros((2, 3)), {"axis": axis, **options}, TypeError, words)
        for axis, words in [
            (1.0, r"axis must be .*got 1\.0"),
            ("1", "axis must be .*got '1'"),
            (np.array([0, 1]), r"axis must be .*got array\(\[0, 1\]\)"),
        ]
        for f, options in [
            *((f, {}) for f in (ta.sum, ta.mean, ta.max, ta.min, ta.prod, ta.var, ta.std)),
            *((f, {}) for f in (ta.norm, ta.logsumexp, ta.softmax, ta.log_softmax, ta.cumsum)),
            *((f, {}) for f in (ta.squeeze, ta.expand_dims, ta.concatenate, ta.stack)),
            (ta.repeat, {"repeats": 2}),
        ]
    ),
    *(
        (f.__name__, f, _zeros((2, 3)), {"axis": axis, **options}, TypeError, "one whole number")
        for axis in ((0, 1), [1], None)
        for f, options in [
            *((f, {}) for f in (ta.softmax, ta.log_softmax, ta.cumsum, ta.expand_dims)),
            *((f, {}) for f in (ta.concatenate, ta.stack)),
            (ta.repeat, {"repeats": 2}),
        ]
    ),
    *(
        (f.__name__, f, _zeros(shape), {**more, name: value}, ValueError, f"{name} must be a")
        for value in (None, "0.1", True, np.zeros(2), 1j)
        for f, shape, name, more in [
            (ta.leaky_relu, (2, 3), "slope", {}),
            (ta.clip, (2, 3), "min", {}),
            (ta.clip, (2, 3), "max", {}),
            (ta.pad, (2, 3), "value", {"pad_width": 1}),
            (ta.var, (2, 3), "ddof", {}),
            (ta.std, (2, 3), "ddof", {}),
            (ta.dropout, (2, 3), "rate", {"rng": 0}),
            (ta.local_response_norm, (1, 2, 3, 3), "k", {}),
            (ta.local_response_norm, (1, 2, 3, 3), "alpha", {}),
            (ta.local_response_norm, (1, 2, 3, 3), "beta", {}),
            (ta.local_contrast_norm, (1, 2, 3, 3), "epsilon", {}),
            (ta.softmax_cross_entropy, (2, 3), "label_smoothing", {"labels": [0, 1]}),
        ]
    ),
    ("var", ta.var, _zeros((2, 3)), {"ddof": 0.5}, ValueError, "ddof must be a whole number"),
    ("clip", ta.clip, _zeros((3,)), {"min": 2, "max": 1}, ValueError, "min <= max, got 2 and 1"),
    ("clip", ta.clip, _zeros((3,)), {"max": np.nan}, ValueError, "got -inf and nan"),
    ("clip", ta.clip, (np.zeros(3), 0, 1), {}, TypeError, "min=, max= by keyword; got 3"),
    ("stack", ta.stack, _zeros((2, 3), (3,)), {}, ShapeError, r"\(2, 3\), \(3,\).*same shape"),
    ("stack", ta.stack, _zeros((2, 3)), {"axis": 3}, ShapeError, "axis 3"),
    ("squeeze", ta.squeeze, _zeros((1, 3)), {"axis": 1}, ShapeError, r"\(1, 3\).*other than 1"),
    ("squeeze", ta.squeeze, _zeros((1, 3)), {"axis": 2}, ShapeError, "axis 2"),
    ("expand_dims", ta.expand_dims, _zeros((2, 3)), {"axis": 3}, ShapeError, "axis 3"),
    ("repeat", ta.repeat, _zeros((2, 3)), {"repeats": -1, "axis": 0}, ShapeError, "from 0, got -1"),
    ("repeat", ta.repeat, _zeros((2, 3)), {"repeats": [1, 2], "axis": 0}, ShapeError, "whole"),
    ("pad", ta.pad, _zeros((2, 3)), {"pad_width": 10**9}, SizeLimitError, "pad, with a result"),
    ("repeat", ta.repeat, _zeros((1,)), {"repeats": 10**13, "axis": 0}, SizeLimitError, "result"),
    ("pad", ta.pad, _zeros((2, 3)), {"pad_width": -1}, ShapeError, "from 0, got -1"),
    ("pad", ta.pad, _zeros((2, 3)), {"pad_width": 1.5}, ShapeError, "from 0, got 1.5"),
    ("pad", ta.pad, _zeros((2, 3)), {"pad_width": (1, 2, 3)}, ShapeError, r"\(2, 3\).*broadcast"),
    *(
        (f.__name__, f, _zeros((2,)), {"labels": np.array([0, 1], kind)}, DTypeError, "numbers")
        for f in (ta.binary_cross_entropy_with_logits,)
        for kind in (complex, object, str)
    ),
    *(
        (f.__name__, f, _zeros((2, 3)), {"labels": labels}, ShapeError, words)
        for f in (ta.binary_cross_entropy_with_logits,)
        for labels, words in [
            ([0, 1, 1], r"\(2, 3\), \(3,\)"),
            (np.full((2, 3), 1.5), "0 … 1, got 1.5 … 1.5"),
            (np.full((2, 3), np.nan), "0 … 1, got nan"),
        ]
    ),
    ("getitem", ta.getitem, _zeros((2, 3)), {"index": 2}, IndexError, "out of bounds"),
    ("getitem", ta.getitem, _zeros((2, 3)), {"index": (0, 0, 0)}, IndexError, "too many"),
    *(
        ("contract", ta.contract, _zeros(*shapes), {"pattern": pattern}, ShapeError, word)
        for pattern, shapes, word in [
            ("ij->i->j", ((2, 3),), "only letters"),
            ("ij,jk->ik", ((2, 3),), "2 operands, got 1"),
            ("ij,jk->ik", ((2, 3), (4, 5)), "axis j is 3 and 4"),
            ("ij->ij", ((2, 3, 4),), "needs 2 axes"),
            ("ii->i", ((3, 4),), "axis i is 3 and 4"),
            ("ij->ii", ((3, 3),), "twice in the result.*eye"),
            ("...i->i", ((2, 3),), "in an operand and in the result, or letters"),
            ("i->...i", ((2,),), "in an operand and in the result, or letters"),
            ("...i,...i->...", ((2, 3), (1, 3)), '"..." is 2 and 1 .*broadcast_to'),
            ("...ij->...", ((2,),), "needs 2 axes"),
            ("...i...->...", ((2, 3),), "only letters"),
            ("i..j->ij", ((2, 3),), "only letters"),
            ("ij->ik", ((2, 3),), "no operand"),
            ("i1->i", ((2, 3),), "only letters"),
            ("iä->i", ((2, 3),), "only letters"),
            ("i,i->i", ((1,), (3,)), "axis i is 1 and 3"),
            ("->", (), None),
        ]
    ),
    *(
        ("conv2d", ta.conv2d, _zeros(*shapes), options, ShapeError, word)
        for shapes, options, word in [
            (((2, 3, 5, 5), (4, 2, 3, 3)), {}, r"expects 2 channels, got 3 .*\(2, 3, 5, 5\)"),
            (((2, 3, 5, 5), (4, 3, 6, 3)), {}, r"\(6, 3\).*\(5, 5\)"),
            (((2, 3, 5, 5), (4, 3, 3, 3)), {"dilation": 3}, "dilation"),
            (((2, 3, 5, 5), (4, 1, 3, 3)), {"groups": 2}, "2 groups do not divide 3"),
            (((2, 4, 5, 5), (3, 2, 3, 3)), {"groups": 2}, "3 outputs"),
            (((3, 5, 5), (4, 3, 3, 3)), {}, r"\(3, 5, 5\)"),
            (((2, 0, 5, 5), (4, 0, 3, 3)), {}, r"a channel and an output .*\(2, 0, 5, 5\)"),
            (((2, 3, 5, 5), (0, 3, 3, 3)), {}, r"a channel and an output .*\(0, 3, 3, 3\)"),
            (((2, 3, 5, 5), (4, 3, 3, 3)), {"stride": 0}, "from 1"),
            (((2, 3, 5, 5), (4, 3, 3, 3)), {"padding": -1}, "padding from 0"),
            (((2, 3, 5, 5), (4, 3, 3, 3)), {"stride": (1, 2, 3)}, "pair"),
            (((2, 3, 5, 5), (4, 3, 3, 3)), {"stride": 1.5}, "whole number|pair"),
            (((2, 3, 5, 5), (4, 3, 3, 3)), {"groups": 1.0}, "groups.*whole number.*1.0"),
            (((2, 3, 5, 5), (4, 3, 3, 3)), {"padding": "valid"}, "\"same\", got 'valid'"),
            (((2, 3, 5, 5), (4, 3, 3, 3)), {"padding": ((1, 0), (0, -1))}, "padding from 0"),
            (((2, 3, 5, 5), (4, 3, 3, 3)), {"padding": ((1, 0, 0), 1)}, "pair"),
        ]
    ),
    (
        "conv_transpose2d",
        ta.conv_transpose2d,
        _zeros((1, 3, 2, 2), (3, 1, 3, 3)),
        {"stride": 10**7},
        SizeLimitError,
        "conv_transpose2d, with a result",
    ),
    *(
        ("conv_transpose2d", ta.conv_transpose2d, _zeros(*shapes), options, ShapeError, word)
        for shapes, options, word in [
            (((2, 3, 5, 5), (4, 3, 3, 3)), {}, r"\(2, 3, 5, 5\), \(4, 3, 3, 3\)"),
            (((3, 5, 5), (3, 4, 3, 3)), {}, r"\(3, 5, 5\)"),
            (((2, 3, 5, 5), (3, 4, 3, 3)), {"padding": ((1, 2, 3), 1)}, "pair"),
            (((2, 3, 5, 5), (3, 4, 3, 3)), {"padding": "same"}, "'same'"),
            (((2, 3, 5, 5), (3, 4, 3, 3)), {"output_padding": 1}, "below the stride, got 1"),
            (((2, 3, 5, 5), (3, 4, 3, 3)), {"output_padding": -1, "stride": 2}, "from 0"),
            (((2, 3, 1, 1), (3, 4, 3, 3)), {"padding": 2}, r"no image \(-1, -1\)"),
            (((2, 3, 5, 5), (3, 4, 3, 3)), {"groups": 2}, "2 groups do not divide"),
        ]
    ),
    *(
        (f.__name__, f, _zeros(shape), options, ShapeError, word)
        for f in (ta.max_pool2d, ta.avg_pool2d)
        for shape, options, word in [
            ((2, 3, 4), {"kernel": 2}, r"\(2, 3, 4\)"),
            ((2, 3, 4, 4), {"kernel": 5}, r"\(5, 5\)"),
            ((2, 3, 4, 4), {"kernel": 3, "padding": 2}, "half"),
            ((2, 3, 4, 4), {"kernel": 3, "padding": ((0, 0), (0, 2))}, "half"),
            ((2, 3, 1, 1), {"kernel": 2, "padding": 1, "dilation": 2}, "padding only"),
            ((2, 3, 4, 4), {"kernel": 2, "dilation": 0}, "dilation from 1"),
        ]
    ),
    ("batch_norm", ta.batch_norm, _zeros((2, 3, 4, 4), (4,), (3,)), {}, ShapeError, "3 numbers"),
    ("batch_norm", ta.batch_norm, _zeros((2, 3), (3,), (3,)), {}, ShapeError, r"\(2, 3\)"),
    ("batch_norm", ta.batch_norm, _zeros((0, 3, 4, 4), (3,), (3,)), {}, ShapeError, "empty"),
    (
        "batch_norm",
        ta.batch_norm,
        _zeros((2, 3, 4, 4), (3,), (3,)),
        {"mean": np.zeros(3)},
        ShapeError,
        "together",
    ),
    (
        "batch_norm",
        ta.batch_norm,
        _zeros((2, 3, 4, 4), (3,), (3,)),
        {"epsilon": -1},
        ValueError,
        "epsilon from 0, got -1",
    ),
    *(
        (f.__name__, f, _zeros(shape), options, ShapeError, word)
        for f in (ta.local_response_norm, ta.local_contrast_norm)
        for shape, options, word in [
            ((2, 3, 4), {}, r"\(2, 3, 4\)"),
            ((2, 3, 4, 4), {"size": 4}, "odd size from 1, got 4"),
            ((2, 3, 4, 4), {"size": -1}, "odd size"),
            ((2, 3, 4, 4), {"size": 2.5}, "odd size from 1, got 2.5"),
        ]
    ),
    # What other libraries take by position.
    ("sum", ta.sum, (np.ones((2, 3)), 0), {}, TypeError, "a by position and axis=.*; got 2"),
    ("exp", ta.exp, (np.ones(2), 0), {}, TypeError, "exp takes a by position; got 2"),
    (
        "softmax_cross_entropy",
        ta.softmax_cross_entropy,
        (np.zeros((2, 3)), [0, 1]),
        {},
        TypeError,
        "logits by position and labels=, label_smoothing= by keyword; got 2",
    ),
    *(
        ("contract", ta.contract, given, {}, TypeError, r"pattern= by keyword; got 'ij,jk->ik'")
        for given in [
            (*_zeros((2, 3), (3, 4)), "ij,jk->ik"),
            ("ij,jk->ik", *_zeros((2, 3), (3, 4))),
        ]
    ),
    ("dropout", ta.dropout, _zeros((2, 3)), {"rate": 1.0, "rng": 0}, ValueError, "below 1"),
    ("dropout", ta.dropout, _zeros((2, 3)), {"rate": 0.5, "rng": None}, GraphError, "rng="),
    (
        "softmax_cross_entropy",
        ta.softmax_cross_entropy,
        _zeros((2, 3)),
        {"labels": [0, 3]},
        ShapeError,
        r"0 … 2",
    ),
    (
        "softmax_cross_entropy",
        ta.softmax_cross_entropy,
        _zeros((2, 3)),
        {"labels": [0, 2], "label_smoothing": 1.5},
        ValueError,
        "label_smoothing must be a share from 0 to 1, got 1.5",
    ),
    (
        "mean_squared_error",
        ta.mean_squared_error,
        _zeros((2, 3), (3,)),
        {},
        ShapeError,
        r"\(2, 3\) and \(3,\)",
    ),
    ("mean_squared_error", ta.mean_squared_error, _zeros((0,), (0,)), {}, ShapeError, "no element"),
]
