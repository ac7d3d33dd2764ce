"""What to write for the names that NumPy, PyTorch and Keras give to functions.

An unknown name of the package, or of a Tensor, raises AttributeError with the text found here.
``docs/ops.md`` says what is not here, and why.
"""

from __future__ import annotations

from typing import Any

OURS = {
    **dict.fromkeys(("abs", "fabs"), "ta.absolute(x)"),
    **dict.fromkeys(("arcsin", "asin"), "ta.arctan2(x, ((1 - x) * (1 + x)) ** 0.5)"),
    **dict.fromkeys(("arccos", "acos"), "ta.arctan2(((1 - x) * (1 + x)) ** 0.5, x)"),
    **dict.fromkeys(("add_", "copy_", "div_", "fill_", "mul_", "sub_", "zero_"), "y = x + 1"),
    **dict.fromkeys(("all", "any", "allclose", "equal", "isnan"), "np.isnan(x.data), …"),
    **dict.fromkeys(("argmax", "argmin", "argsort"), "x.data.argmax(), …: no gradient"),
    "atan": "ta.arctan(x)",
    "atan2": "ta.arctan2(y, x)",
    "bmm": "x @ y",
    **dict.fromkeys(("cat", "concat", "hstack", "vstack"), "ta.concatenate(x, y, axis=0)"),
    "clamp": "ta.clip(x, min=0, max=1)",
    **dict.fromkeys(("clone", "copy"), "x * 1, or ta.Tensor(x.numpy().copy()) without a gradient"),
    "contiguous": "x, which every op takes in any memory order",
    "cosh": "(ta.exp(x) + ta.exp(-x)) / 2",
    **dict.fromkeys(
        ("cross_entropy", "CrossEntropyLoss"), "ta.softmax_cross_entropy(logits, labels=labels)"
    ),
    "cpu": 'x.numpy(), or ta.to_device(model, "cpu")',
    **dict.fromkeys(("cuda", "to"), 'ta.to_device(model, "cuda")'),
    "DataLoader": "ta.batches(data.train, 128, seed=0, epoch=1)",
    **dict.fromkeys(("diag", "diagonal"), 'ta.contract(x, pattern="ii->i")'),
    "dim": "x.ndim",
    **dict.fromkeys(("div", "mul", "neg", "sub"), "x / y, x * y, -x, x - y"),
    **dict.fromkeys(("dot", "inner"), 'x @ y, or ta.contract(x, y, pattern="i,i->")'),
    "einsum": 'ta.contract(x, y, pattern="ij,jk->ik")',
    **dict.fromkeys(("inference_mode", "set_grad_enabled"), "with ta.no_grad(): …"),
    "enable_grad": "the lines outside of with ta.no_grad(): …",
    "elu": "ta.where(x > 0, x, ta.expm1(ta.minimum(x, 0)))",
    **dict.fromkeys(("eq", "ge", "gt", "le", "lt", "ne"), "x == y, x > y, …"),
    "expand": "ta.broadcast_to(x, shape=…)",
    "flip": "x[::-1]",
    **dict.fromkeys(
        ("float", "double", "astype", "half", "long"), "ta.Tensor(array.astype(…)) when you make it"
    ),
    **dict.fromkeys(("gather", "take", "embedding"), "x[indices]"),
    "functional": "ta.relu(x), …",
    "grad": "loss.backward(), which stores x.grad; there are no second derivatives",
    "gelu": "x * ta.sigmoid(1.702 * x), an approximation",
    **dict.fromkeys(
        ("linalg", "svd", "solve", "inv", "det", "eigh", "qr"),
        "ta.norm(x), or np.linalg.svd(x.data), … without a gradient",
    ),
    **dict.fromkeys(("log2", "log10"), "ta.log(x) / math.log(2)"),
    "manual_seed": "rng=0, where something draws",
    "masked_fill": "ta.where(mask, value, x)",
    **dict.fromkeys(("mse_loss", "MSELoss"), "ta.mean_squared_error(x, y)"),
    **dict.fromkeys(
        ("BCELoss", "BCEWithLogitsLoss"), "ta.binary_cross_entropy_with_logits(x, labels=labels)"
    ),
    **dict.fromkeys(
        ("layer_norm", "LayerNorm"),
        "(x - ta.mean(x, axis=-1, keepdims=True)) / ta.std(x, axis=-1, keepdims=True)",
    ),
    "load_model": "ta.load(path)",
    "save_model": "ta.save(path, model)",
    "mm": "x @ y",
    "numel": "x.size",
    "optim": "ta.Adam, ta.SGD",
    "outer": 'ta.contract(x, y, pattern="i,j->ij")',
    **dict.fromkeys(
        ("ones", "zeros", "full", "eye", "arange", "ones_like", "zeros_like"),
        "ta.Tensor(np.zeros(shape)), np.ones, …",
    ),
    **dict.fromkeys(("Parameter", "requires_grad_"), "ta.Tensor(array, requires_grad=True)"),
    **dict.fromkeys(("rand", "randn"), "ta.Tensor(np.random.default_rng(0).normal(size=shape))"),
    **dict.fromkeys(("permute", "swapaxes", "moveaxis"), "x.transpose(1, 0), with all axes"),
    "pow": "x ** 2",
    "repeat_interleave": "ta.repeat(x, repeats=2, axis=0)",
    "roll": "ta.concatenate(x[-1:], x[:-1])",
    "rsqrt": "1 / ta.sqrt(x)",
    **dict.fromkeys(("sign", "floor", "ceil", "round"), "np.sign(x.data), …: no gradient"),
    **dict.fromkeys(("sort", "topk", "median", "unique"), "np.sort(x.data), …: no gradient"),
    "silu": "x * ta.sigmoid(x)",
    "sinh": "(ta.expm1(x) - ta.expm1(-x)) / 2",
    "softplus": "ta.maximum(x, 0) + ta.log1p(ta.exp(-abs(x)))",
    "split": "x[:2] and x[2:]",
    "square": "x ** 2",
    "t": "x.T",
    **dict.fromkeys(("tensor", "array", "as_tensor"), "ta.Tensor(array)"),
    "tensordot": 'ta.contract(x, y, pattern="ij,jk->ik")',
    "tile": "ta.concatenate(x, x, axis=0)",
    "tolist": "x.numpy().tolist()",
    "trace": 'ta.contract(x, pattern="ii->")',
    "unsqueeze": "ta.expand_dims(x, axis=0), or x[None]",
    **dict.fromkeys(("view", "view_as", "ravel"), "x.reshape(2, 3), or x.flatten()"),
    "zero_grad": "optimizer.zero_grad(), or x.grad = None",
}
FUNCTIONS = [  # of the package, which are not methods of a Tensor
    *("add", "arctan", "arctan2", "avg_pool2d", "batch_norm", "broadcast_to", "contract"),
    *("conv2d", "divide", "dropout", "expm1", "leaky_relu", "log1p", "matmul", "max_pool2d"),
    *("maximum", "minimum", "mean_squared_error", "multiply", "negative", "pad", "repeat"),
    *("softmax_cross_entropy", "stack", "subtract", "tan", "where"),
]

OF_MODULES = {  # methods of modules in PyTorch and Keras
    **dict.fromkeys(("eval", "train"), "model(images), or model(images, training=True, rng=0)"),
    "fit": "for step in ta.train(model, data): …",
    "load_state_dict": "model.load_arrays(arrays), or ta.load(path)",
    "predict": "ta.predict(model, images)",
    **dict.fromkeys(("save", "save_weights"), "ta.save(path, model)"),
    "state_dict": "model.arrays(), or ta.save(path, model)",
    "summary": "ta.summary(model)",
    **dict.fromkeys(("to", "cuda"), 'ta.to_device(model, "cuda")'),
    "cpu": 'ta.to_device(model, "cpu")',
    "zero_grad": "optimizer.zero_grad()",
}


def other_name(name: str) -> str:
    """Return a hint with our way to write a function, or "".

    >>> other_name("einsum")
    '; write ta.contract(x, y, pattern="ij,jk->ik")'
    """
    ours = OURS.get(name, f"ta.{name}(x, …)" if name in FUNCTIONS else "")
    return f"; write {ours}" if ours else ""


class Elsewhere:
    """A method that is not here: reading it raises AttributeError, which says what to write.

    ``__getattr__`` would do this with less. But Python then reads every attribute slowly, and an
    AttributeError inside a property of the user would be replaced by one about the property.
    """

    def __init__(self, name: str, hint: str):
        self.name, self.hint = name, hint

    def __get__(self, owner: Any, kind: type) -> Any:
        raise AttributeError(f"{kind.__name__!r} object has no attribute {self.name!r}{self.hint}")
