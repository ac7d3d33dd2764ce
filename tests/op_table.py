"""One table of ops, which drives every generic test.

A row says what an op should compute (an independent NumPy formula, and torch's spelling of it),
on which shapes, where its inputs may lie and how its gradient is checked. A public op without a
row fails ``test_every_public_op_has_a_row``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import image_references as images
import numpy as np

import tinyadtn as ta

# --- domains: shape, number of the argument, generator -> values ---------------------------------


def normal(rng: np.random.Generator, shape: tuple, k: int) -> np.ndarray:
    return np.asarray(rng.normal(size=shape))


def positive(rng: np.random.Generator, shape: tuple, k: int) -> np.ndarray:
    return np.asarray(rng.uniform(0.5, 2.0, size=shape))


def first_positive(rng: np.random.Generator, shape: tuple, k: int) -> np.ndarray:
    return (normal if k else positive)(rng, shape, k)


def second_positive(rng: np.random.Generator, shape: tuple, k: int) -> np.ndarray:
    return (positive if k else normal)(rng, shape, k)


def within_one(rng: np.random.Generator, shape: tuple, k: int) -> np.ndarray:
    return np.asarray(rng.uniform(-0.9, 0.9, size=shape))


def with_zeros(rng: np.random.Generator, shape: tuple, k: int) -> np.ndarray:
    """Zeros in some products: one, two, and in all others none."""
    values = normal(rng, shape, k)
    values.flat[: 2 * (values.size > 2) : 2] = 0
    return values


def distinct(rng: np.random.Generator, shape: tuple, k: int) -> np.ndarray:
    """No two values equal, none near 0, no value of one argument near one of another."""
    count = int(np.prod(shape))
    return 0.1 * (rng.permutation(count).reshape(shape) - count // 2) + 0.013 + 0.03 * k


# --- the rows ------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Row:
    """One op with one set of options.

    ``kind``: "linear" in each argument alone (also: multilinear), "additive" (linear in all
    arguments together), "smooth" or "piecewise" (kinks or ties).
    ``torch``: the same from torch, as ``f(torch, *tensors)``.
    ``empty``: shapes with a zero that the op takes; None where it refuses them (see op_refusals).
    """

    function: Callable[..., Any]
    reference: Callable[..., Any]
    torch: Callable[..., Any]
    shapes: tuple[tuple[int, ...], ...]
    kind: str
    options: dict = dataclasses.field(default_factory=dict)
    domain: Callable[..., np.ndarray] = normal
    empty: tuple[tuple[int, ...], ...] | None = None
    case: str = ""
    op: str = ""  # the public name, where ``function`` is not it

    @property
    def name(self) -> str:
        return self.op or self.function.__name__

    def __str__(self) -> str:
        return self.name + (f"-{self.case}" if self.case else "")

    def __call__(self, *arguments: Any) -> Any:
        return self.function(*arguments, **self.options)

    def draw(self, seed: int = 0, dtype: Any = np.float64, shapes: Any = None) -> list[np.ndarray]:
        rng = np.random.default_rng(seed)
        shapes = self.shapes if shapes is None else shapes
        return [self.domain(rng, shape, k).astype(dtype) for k, shape in enumerate(shapes)]


def _sigmoid(a: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-a))


def _softmax(a: np.ndarray, axis: int) -> np.ndarray:
    return np.exp(a) / np.exp(a).sum(axis=axis, keepdims=True)


def _cross_entropy(a: np.ndarray, labels: Any, label_smoothing: float = 0.0) -> np.ndarray:
    classes = a.shape[1]
    targets = (1 - label_smoothing) * np.eye(classes)[labels] + label_smoothing / classes
    rows = [np.log(np.exp(row).sum()) - row @ target for row, target in zip(a, targets)]
    return np.sum(rows) / len(rows)


CONDITION = np.array([[True, False, True, True], [False, True, False, True], [True] * 4])
PICKS = np.array([2, 0, 2, 2])
LABELS = np.array([2, 0, 1])
SHARES = np.array([[0.0, 1.0, 0.3, 1.0], [1.0, 0.0, 0.0, 0.9], [0.5, 0.0, 1.0, 1.0]])
MOMENTS = np.array([0.5, -1.0, 0.0, 2.0]), np.array([0.3, 1.0, 2.0, 0.1])


def _torch_contrast(t: Any, x: Any) -> Any:
    """Local contrast normalisation, window 3, in torch's words."""
    near = t.exp(-0.5 * ((t.arange(3).to(x) - 1) * 4 / 3) ** 2)
    window = (near[:, None] * near)[None, None]
    inside = t.nn.functional.conv2d(t.ones_like(x[:1, :1]), window, padding=1)

    def local_mean(a: Any) -> Any:
        return t.nn.functional.conv2d(a.mean(1, keepdim=True), window, padding=1) / inside

    v = x - local_mean(x)
    spread = (local_mean(v * v) + 1e-8).sqrt()
    return v / t.maximum(spread, spread.mean((1, 2, 3), keepdim=True))


def _variance(a: np.ndarray, axis: Any = None, ddof: int = 0, keepdims: bool = False) -> Any:
    centre = a.mean(axis=axis, keepdims=True)
    squares = ((a - centre) ** 2).sum(axis=axis, keepdims=keepdims)
    return squares / (np.prod([m for m, n in zip(a.shape, centre.shape) if n == 1]) - ddof)


def _binary_cross_entropy(a: np.ndarray, labels: np.ndarray) -> Any:
    p = _sigmoid(a)
    return -(labels * np.log(p) + (1 - labels) * np.log(1 - p)).sum() / a.size


def _torch_dropout(t: Any, a: Any) -> Any:
    return a * t.from_numpy(images.dropout(np.ones(a.shape), 0.4, 3)).to(a)


BOTH = ((2, 3), (2, 3))
IMAGES = (2, 4, 5, 7)
STRETCHED = ((3, 1, 4), (2, 1))  # broadcasts to (3, 2, 4)

# fmt: off
ROWS = [
    # arithmetic
    Row(ta.add, np.add, lambda t, a, b: a + b, BOTH, "additive", empty=((0, 3), (3,))),
    Row(ta.add, np.add, lambda t, a, b: a + b, STRETCHED, "additive", case="stretched",
        empty=((0, 1, 4), (2, 1))),
    Row(ta.subtract, np.subtract, lambda t, a, b: a - b, STRETCHED, "additive",
        empty=((2, 0), (1, 0))),
    Row(ta.multiply, np.multiply, lambda t, a, b: a * b, STRETCHED, "linear", empty=((0, 3), (1,))),
    Row(ta.divide, np.divide, lambda t, a, b: a / b, STRETCHED, "smooth", domain=second_positive,
        empty=((0, 3), ())),
    Row(ta.negative, np.negative, lambda t, a: -a, ((2, 3),), "linear", empty=((0,),)),
    Row(ta.power, np.power, lambda t, a, b: a**b, STRETCHED, "smooth", domain=first_positive,
        empty=((0, 3), ())),
    # elementwise functions
    Row(ta.exp, np.exp, lambda t, a: a.exp(), ((2, 3),), "smooth", empty=((0, 2),)),
    Row(ta.log, np.log, lambda t, a: a.log(), ((2, 3),), "smooth", domain=positive,
        empty=((0, 2),)),
    Row(ta.sqrt, np.sqrt, lambda t, a: a.sqrt(), ((2, 3),), "smooth", domain=positive,
        empty=((0, 2),)),
    Row(ta.absolute, lambda a: np.where(a < 0, -a, a), lambda t, a: a.abs(), ((2, 3),), "piecewise",
        domain=distinct, empty=((0, 2),)),
    Row(ta.tanh, lambda a: (np.exp(2 * a) - 1) / (np.exp(2 * a) + 1), lambda t, a: a.tanh(),
        ((2, 3),), "smooth", empty=((0, 2),)),
    Row(ta.sigmoid, _sigmoid, lambda t, a: a.sigmoid(), ((2, 3),), "smooth", empty=((0, 2),)),
    Row(ta.relu, lambda a: np.where(a <= 0, 0, a), lambda t, a: a.relu(), ((3, 4),), "piecewise",
        domain=distinct, empty=((0, 2),)),
    Row(ta.leaky_relu, lambda a, slope: np.where(a <= 0, slope * a, a),
        lambda t, a: t.nn.functional.leaky_relu(a, 0.2), ((3, 4),), "piecewise", {"slope": 0.2},
        distinct, ((0, 2),)),
    Row(ta.maximum, lambda a, b: np.where((a >= b) | np.isnan(a), a, b),
        lambda t, a, b: t.maximum(a, b), STRETCHED, "piecewise", domain=distinct,
        empty=((0, 3), (3,))),
    Row(ta.minimum, lambda a, b: np.where((a <= b) | np.isnan(a), a, b),
        lambda t, a, b: t.minimum(a, b), STRETCHED, "piecewise", domain=distinct,
        empty=((0, 3), (3,))),
    Row(lambda a, b: ta.where(CONDITION, a, b), lambda a, b: np.where(CONDITION, a, b),
        lambda t, a, b: t.where(t.from_numpy(CONDITION), a, b), ((4,), (3, 1)), "additive",
        op="where"),
    Row(ta.expm1, lambda a: np.exp(a) - 1, lambda t, a: a.expm1(), ((2, 3),), "smooth",
        empty=((0, 2),)),
    Row(ta.log1p, lambda a: np.log(1 + a), lambda t, a: a.log1p(), ((2, 3),), "smooth",
        domain=within_one, empty=((0, 2),)),
    Row(ta.clip, lambda a, min, max: np.where(a < min, min, np.where(a > max, max, a)),
        lambda t, a: a.clamp(-0.15, 0.25), ((3, 4),), "piecewise", {"min": -0.15, "max": 0.25},
        distinct, ((0, 2),)),
    Row(ta.clip, lambda a, max: np.where(a > max, max, a), lambda t, a: a.clamp(max=0.25),
        ((3, 4),), "piecewise", {"max": 0.25}, distinct, ((0, 2),), case="above"),
    # trigonometric functions
    Row(ta.sin, lambda a: np.exp(1j * a).imag, lambda t, a: a.sin(), ((2, 3),), "smooth",
        empty=((0, 2),)),
    Row(ta.cos, lambda a: np.exp(1j * a).real, lambda t, a: a.cos(), ((2, 3),), "smooth",
        empty=((0, 2),)),
    Row(ta.tan, np.tan, lambda t, a: a.tan(), ((2, 3),), "smooth", domain=within_one,
        empty=((0, 2),)),
    Row(ta.arctan, np.arctan, lambda t, a: a.arctan(), ((2, 3),), "smooth", empty=((0, 2),)),
    Row(ta.arctan2, np.arctan2, lambda t, a, b: t.arctan2(a, b), STRETCHED, "smooth",
        domain=second_positive, empty=((0, 3), ())),
    # products
    Row(ta.matmul, np.matmul, lambda t, a, b: a @ b, ((2, 3), (3, 4)), "linear",
        empty=((2, 0), (0, 4))),
    Row(ta.matmul, np.matmul, lambda t, a, b: a @ b, ((5, 1, 2, 3), (4, 3, 2)), "linear",
        empty=((0, 2, 3), (3, 4)), case="stacks"),
    Row(ta.matmul, np.matmul, lambda t, a, b: a @ b, ((3,), (5, 3, 2)), "linear",
        empty=((3,), (0, 3, 2)), case="vector_left"),
    Row(ta.matmul, np.matmul, lambda t, a, b: a @ b, ((5, 2, 3), (3,)), "linear",
        empty=((0, 2, 3), (3,)), case="vector_right"),
    Row(ta.matmul, lambda a, b: sum(x * y for x, y in zip(a, b)), lambda t, a, b: a @ b,
        ((3,), (3,)), "linear", empty=((0,), (0,)), case="vectors"),
    # reductions
    Row(ta.sum, np.sum, lambda t, a: a.sum(), ((2, 3),), "linear", empty=((0, 3),)),
    Row(ta.sum, np.sum, lambda t, a: a.sum((0, 2)), ((2, 3, 4),), "linear", {"axis": (0, -1)},
        empty=((2, 3, 0),), case="axes"),
    Row(ta.sum, np.sum, lambda t, a: a.sum(1, keepdim=True), ((2, 3, 4),), "linear",
        {"axis": 1, "keepdims": True}, empty=((2, 0, 4),), case="keepdims"),
    Row(ta.mean, lambda a, axis: a.sum(axis=axis) / 8, lambda t, a: a.mean((0, 2)), ((2, 3, 4),),
        "linear", {"axis": (2, 0)}, empty=((2, 0, 4),)),
    Row(ta.max, lambda a, axis: np.sort(a, axis=axis).take(-1, axis=axis),
        lambda t, a: a.max(1).values, ((2, 3, 4),), "piecewise", {"axis": 1}, distinct,
        ((2, 3, 0),)),
    Row(ta.max, lambda a: np.sort(a, axis=None)[-1], lambda t, a: a.max(), ((2, 3),), "piecewise",
        domain=distinct, case="all"),
    Row(ta.min, np.min, lambda t, a: a.amin((0, 2), keepdim=True), ((2, 3, 4),), "piecewise",
        {"axis": (0, 2), "keepdims": True}, distinct, ((2, 0, 3),)),
    Row(ta.softmax, _softmax, lambda t, a: a.softmax(1), ((2, 4, 3),), "smooth", {"axis": 1},
        empty=((0, 4, 3),)),
    Row(ta.log_softmax, lambda a, axis: np.log(_softmax(a, axis)), lambda t, a: a.log_softmax(-1),
        ((3, 4),), "smooth", {"axis": -1}, empty=((0, 4),)),
    Row(ta.logsumexp, lambda a, axis: np.log(np.exp(a).sum(axis=axis)),
        lambda t, a: a.logsumexp((0, 2)), ((2, 4, 3),), "smooth", {"axis": (2, 0)},
        empty=((2, 0, 3),)),
    Row(ta.logsumexp, lambda a, axis, keepdims: np.log(np.exp(a).sum(axis=axis, keepdims=keepdims)),
        lambda t, a: a.logsumexp(-1, keepdim=True), ((3, 4),), "smooth",
        {"axis": -1, "keepdims": True}, empty=((0, 4),), case="keepdims"),
    Row(ta.prod, np.prod, lambda t, a: a.prod(1), ((3, 4, 2),), "smooth", {"axis": 1}, with_zeros,
        ((3, 0, 2),)),
    Row(ta.prod, np.prod, lambda t, a: a.prod(), ((2, 3),), "smooth", empty=((0, 3),), case="all"),
    Row(ta.prod, np.prod, lambda t, a: a.prod(2, keepdim=True).prod(0, keepdim=True), ((3, 4, 2),),
        "smooth", {"axis": (0, -1), "keepdims": True}, empty=((3, 0, 2),), case="keepdims"),
    Row(ta.cumsum, np.cumsum, lambda t, a: a.cumsum(1), ((2, 4, 3),), "linear", {"axis": 1},
        empty=((2, 0, 3),)),
    Row(ta.var, _variance, lambda t, a: a.var((0, 2), correction=1), ((2, 3, 4),), "smooth",
        {"axis": (0, -1), "ddof": 1}, empty=((2, 0, 4),)),
    Row(ta.var, _variance, lambda t, a: a.var(correction=0), ((2, 3),), "smooth", case="all"),
    Row(ta.std, lambda a, **options: np.sqrt(_variance(a, **options)),
        lambda t, a: a.std(1, correction=0, keepdim=True), ((2, 3, 4),), "smooth",
        {"axis": 1, "keepdims": True}, empty=((0, 3, 4),)),
    Row(ta.norm, lambda a: np.sqrt((a * a).sum()), lambda t, a: t.linalg.norm(a), ((2, 3),),
        "smooth"),
    Row(ta.norm, lambda a, axis: np.sqrt((a * a).sum(axis=axis)),
        lambda t, a: t.linalg.vector_norm(a, dim=(0, 2)), ((2, 3, 4),), "smooth", {"axis": (0, 2)},
        empty=((2, 0, 4),), case="axes"),
    # shapes
    Row(ta.reshape, lambda a, shape: np.array(a.ravel()).reshape(shape),
        lambda t, a: a.reshape(4, -1), ((2, 6),), "linear", {"shape": (4, -1)}, empty=((0, 4),)),
    Row(ta.transpose, lambda a: np.transpose(a), lambda t, a: a.permute(2, 1, 0), ((2, 3, 4),),
        "linear", empty=((0, 3, 4),)),
    Row(ta.transpose, lambda a, axes: np.moveaxis(a, 2, 0), lambda t, a: a.permute(2, 0, 1),
        ((2, 3, 4),), "linear", {"axes": (2, 0, 1)}, empty=((0, 3, 4),), case="cycle"),
    Row(ta.broadcast_to, lambda a, shape: a + np.zeros(shape), lambda t, a: a.broadcast_to(4, 2, 3),
        ((2, 1),), "linear", {"shape": (4, 2, 3)}),
    Row(ta.concatenate, lambda *arrays, axis: np.concatenate(arrays, axis),
        lambda t, a, b, c: t.cat([a, b, c], 1), ((2, 3), (2, 1), (2, 4)), "additive", {"axis": -1},
        empty=((2, 0), (2, 3), (2, 0))),
    Row(ta.stack, lambda *arrays, axis: np.stack(arrays, axis),
        lambda t, a, b, c: t.stack([a, b, c], 1), ((2, 3),) * 3, "additive", {"axis": 1},
        empty=((0, 3),) * 3),
    Row(ta.stack, lambda a, b, axis: np.stack([a, b], axis), lambda t, a, b: t.stack([a, b], -1),
        BOTH, "additive", {"axis": -1}, empty=((2, 0),) * 2, case="last"),
    Row(ta.squeeze, np.squeeze, lambda t, a: a.squeeze(), ((2, 1, 3),), "linear",
        empty=((0, 1, 3),)),
    Row(ta.squeeze, np.squeeze, lambda t, a: a.squeeze(-1), ((2, 3, 1),), "linear",
        {"axis": -1}, empty=((1, 0, 1),), case="axis"),
    Row(ta.expand_dims, lambda a, axis: a[:, None], lambda t, a: a.unsqueeze(1), ((2, 3),),
        "linear", {"axis": -2}, empty=((0, 3),)),
    Row(ta.repeat, lambda a, repeats, axis: np.repeat(a, repeats, axis),
        lambda t, a: a.repeat_interleave(3, 1), ((2, 4, 3),), "linear", {"repeats": 3, "axis": -2},
        empty=((2, 0, 3),)),
    Row(ta.pad, np.pad, lambda t, a: t.nn.functional.pad(a, (0, 3, 1, 2)), ((2, 3),), "linear",
        {"pad_width": ((1, 2), (0, 3))}, empty=((0, 3),)),
    Row(ta.pad, lambda a, pad_width, value: np.pad(a, pad_width, constant_values=value),
        lambda t, a: t.nn.functional.pad(a, (1, 1, 1, 1), value=7.0), ((2, 3),), "smooth",
        {"pad_width": 1, "value": 7.0}, empty=((0, 3),), case="value"),
    Row(ta.getitem, lambda a, index: a[index], lambda t, a: a[1:, 0], ((4, 2, 3),), "linear",
        {"index": (slice(1, None), 0)}, empty=((3, 2, 0),), case="slices"),
    Row(ta.getitem, lambda a, index: np.stack([a[i] for i in index]),
        lambda t, a: a[t.from_numpy(PICKS)], ((3, 2),), "linear", {"index": PICKS}, empty=((3, 0),),
        case="repeated"),
    # contractions
    Row(ta.contract, lambda x, w, pattern: x @ w.T, lambda t, x, w: t.einsum("ni,oi->no", x, w),
        ((3, 4), (2, 4)), "linear", {"pattern": "ni,oi->no"}, empty=((0, 4), (2, 4))),
    Row(ta.contract, lambda a, b, c, pattern: np.einsum(pattern, a, b, c),
        lambda t, a, b, c: t.einsum("abc,cbd,da->b", a, b, c), ((2, 3, 4), (4, 3, 5), (5, 2)),
        "linear", {"pattern": "abc,cbd,da->b"}, empty=((2, 3, 0), (0, 3, 5), (5, 2)), case="ring"),
    Row(ta.contract, lambda a, b, pattern: a.sum(1)[None, :] * b[:, None],
        lambda t, a, b: t.einsum("ij,k->ki", a, b), ((2, 3), (4,)), "linear",
        {"pattern": "ij,k->ki"}, empty=((2, 0), (4,)), case="lone"),
    Row(ta.contract, lambda a, pattern: a.sum(1).T, lambda t, a: t.einsum("abc->ca", a),
        ((2, 3, 4),), "linear", {"pattern": "abc->ca"}, empty=((2, 0, 4),), case="one"),
    Row(ta.contract, lambda a, b, pattern: np.einsum("kik,kj->jki", a, b),
        lambda t, a, b: t.einsum("kik,kj->jki", a, b), ((3, 4, 3), (3, 2)), "linear",
        {"pattern": "kik,kj->jki"}, empty=((3, 0, 3), (3, 2)), case="diagonal"),
    Row(ta.contract, lambda a, b, pattern: a @ b, lambda t, a, b: a @ b, ((5, 2, 3), (5, 3, 4)),
        "linear", {"pattern": "...ij,...jk"}, empty=((0, 2, 3), (0, 3, 4)), case="ellipsis"),
    # images
    Row(ta.conv2d, images.conv2d, lambda t, x, w: t.nn.functional.conv2d(x, w),
        (IMAGES, (6, 4, 3, 2)), "linear", empty=((0, 4, 5, 7), (6, 4, 3, 2))),
    Row(ta.conv2d, images.conv2d,
        lambda t, x, w: t.nn.functional.conv2d(x, w, None, (2, 3), (2, 1), (1, 2)),
        (IMAGES, (3, 4, 5, 2)), "linear", {"stride": (2, 3), "padding": (2, 1), "dilation": (1, 2)},
        empty=((0, 4, 5, 7), (3, 4, 5, 2)), case="strided"),
    Row(ta.conv2d, images.conv2d, lambda t, x, w: t.nn.functional.conv2d(x, w, padding=1, groups=2),
        (IMAGES, (6, 2, 3, 1)), "linear", {"padding": 1, "groups": 2},
        empty=((0, 4, 5, 7), (6, 2, 3, 1)), case="groups"),
    Row(ta.conv2d, images.conv2d, lambda t, x, w: t.nn.functional.conv2d(x, w, padding="same"),
        (IMAGES, (3, 4, 2, 5)), "linear", {"padding": "same"},
        empty=((0, 4, 5, 7), (3, 4, 2, 5)), case="same"),
    Row(ta.conv2d, images.conv2d,
        lambda t, x, w: t.nn.functional.conv2d(t.nn.functional.pad(x, (2, 1, 0, 3)), w, stride=2),
        (IMAGES, (3, 4, 2, 5)), "linear", {"padding": ((0, 3), (2, 1)), "stride": 2},
        empty=((0, 4, 5, 7), (3, 4, 2, 5)), case="sides"),
    Row(ta.conv_transpose2d, images.conv_transpose2d,
        lambda t, x, w: t.nn.functional.conv_transpose2d(x, w), (IMAGES, (4, 6, 3, 2)), "linear",
        empty=((0, 4, 5, 7), (4, 6, 3, 2))),
    Row(ta.conv_transpose2d, images.conv_transpose2d,
        lambda t, x, w: t.nn.functional.conv_transpose2d(x, w, None, (2, 3), 1, (1, 0), 2, (1, 2)),
        (IMAGES, (4, 3, 2, 5)), "linear",
        {"stride": (2, 3), "padding": 1, "output_padding": (1, 0), "groups": 2, "dilation": (1, 2)},
        empty=((0, 4, 5, 7), (4, 3, 2, 5)), case="strided"),
    Row(ta.max_pool2d, images.max_pool2d,
        lambda t, x: t.nn.functional.max_pool2d(x, 3, 2, 1, 2, ceil_mode=True), (IMAGES,),
        "piecewise", {"kernel": 3, "stride": 2, "padding": 1, "dilation": 2, "ceil_mode": True},
        distinct, ((0, 4, 5, 7),), case="ceil"),
    Row(ta.max_pool2d, images.max_pool2d,
        lambda t, x: t.nn.functional.max_pool2d(t.nn.functional.pad(x, (0, 1, 0, 1), value=-1e9), 2,
                                                1),
        (IMAGES,), "piecewise", {"kernel": 2, "stride": 1, "padding": "same"}, distinct,
        ((0, 4, 5, 7),), case="same"),
    Row(ta.avg_pool2d, images.avg_pool2d,
        lambda t, x: t.nn.functional.avg_pool2d(x, (3, 2), (3, 2), (1, 1), ceil_mode=True),
        (IMAGES,), "linear", {"kernel": (3, 2), "padding": 1, "ceil_mode": True},
        empty=((0, 4, 5, 7),), case="ceil"),
    Row(ta.avg_pool2d, images.avg_pool2d,
        lambda t, x: t.nn.functional.conv2d(
            t.nn.functional.pad(x, (1, 0, 0, 1)), t.ones(4, 1, 2, 3).to(x) / 6, groups=4,
            dilation=2),
        (IMAGES,), "linear",
        {"kernel": (2, 3), "stride": 1, "padding": ((0, 1), (1, 0)), "dilation": 2},
        empty=((0, 4, 5, 7),), case="dilation"),
    Row(ta.max_pool2d, images.max_pool2d, lambda t, x: t.nn.functional.max_pool2d(x, 2),
        (IMAGES,), "piecewise", {"kernel": 2}, distinct, ((0, 4, 5, 7),)),
    Row(ta.max_pool2d, images.max_pool2d, lambda t, x: t.nn.functional.max_pool2d(x, 3, 2, 1),
        (IMAGES,), "piecewise", {"kernel": 3, "stride": 2, "padding": 1}, distinct,
        empty=((0, 4, 5, 7),), case="overlap"),
    Row(ta.avg_pool2d, images.avg_pool2d,
        lambda t, x: t.nn.functional.avg_pool2d(x, (3, 2), (1, 2), (1, 0)), (IMAGES,), "linear",
        {"kernel": (3, 2), "stride": (1, 2), "padding": (1, 0)}, empty=((0, 4, 5, 7),)),
    Row(ta.batch_norm, images.batch_norm,
        lambda t, x, a, b: t.nn.functional.batch_norm(x, None, None, a, b, training=True),
        (IMAGES, (4,), (4,)), "smooth"),
    Row(ta.batch_norm, images.batch_norm,
        lambda t, x, a, b: t.nn.functional.batch_norm(
            x, t.from_numpy(MOMENTS[0]).to(x), t.from_numpy(MOMENTS[1]).to(x), a, b, eps=0.1),
        (IMAGES, (4,), (4,)), "smooth",
        {"mean": MOMENTS[0], "variance": MOMENTS[1], "epsilon": 0.1}, case="constants",
        empty=((0, 4, 5, 7), (4,), (4,))),
    Row(ta.local_response_norm, images.local_response_norm,
        lambda t, x: t.nn.functional.local_response_norm(x, 3, 0.9, 0.6, 2.0), (IMAGES,), "smooth",
        {"size": 3, "alpha": 0.3, "beta": 0.6}, empty=((0, 4, 5, 7),)),
    Row(ta.local_contrast_norm, images.local_contrast_norm, _torch_contrast, ((2, 3, 5, 4),),
        "piecewise", {"size": 3}, empty=((0, 3, 5, 4),)),
    Row(ta.dropout, images.dropout, _torch_dropout, ((3, 4),), "linear", {"rate": 0.4, "rng": 3},
        empty=((0, 4),)),
    # losses
    Row(ta.softmax_cross_entropy, _cross_entropy,
        lambda t, a: t.nn.functional.cross_entropy(a, t.from_numpy(LABELS)), ((3, 4),), "smooth",
        {"labels": LABELS}),
    Row(ta.softmax_cross_entropy, _cross_entropy,
        lambda t, a: t.nn.functional.cross_entropy(a, t.from_numpy(LABELS), label_smoothing=0.3),
        ((3, 4),), "smooth", {"labels": LABELS, "label_smoothing": 0.3}, case="smoothed"),
    Row(ta.binary_cross_entropy_with_logits, _binary_cross_entropy,
        lambda t, a: t.nn.functional.binary_cross_entropy_with_logits(
            a, t.from_numpy(SHARES).to(a)), ((3, 4),), "smooth", {"labels": SHARES}),
    Row(ta.mean_squared_error, lambda a, b: np.sum((a - b) ** 2) / 6,
        lambda t, a, b: t.nn.functional.mse_loss(a, b), BOTH, "smooth"),
]
# fmt: on

# Why these rows name no shape with a zero that they take (they refuse all of them, or have none).
NO_ZERO_SIZE = {
    "where": "the condition fixes the shape",
    "broadcast_to": "the option fixes the shape",
    "max-all": "nothing is the largest of no elements",
    "batch_norm": "an empty batch has no statistics",
    "var-all": "a mean over no elements is undefined",
    "norm": "nothing is the largest of no elements",
    "binary_cross_entropy_with_logits": "the labels fix the shape",
    "softmax_cross_entropy": "a mean over no images is undefined",
    "softmax_cross_entropy-smoothed": "a mean over no images is undefined",
    "mean_squared_error": "a mean over no elements is undefined",
}
