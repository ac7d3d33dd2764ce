"""The argparse parser of ``tinyadtn``, from a table of commands, their options and their help."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from ..nn.models import MODELS
from ..studies.table import DIGITS, SPLITS
from ..tensor_networks.gates import ACTIVATIONS
from ..tensor_networks.orders import ORDERS
from ..tensor_networks.starts import STARTS
from ..tensor_networks.wirings import WIRINGS
from ..training.runs import OPTIMIZERS, SCHEDULES, TrainingPlan
from ..training.train import SAVE_MINUTES
from ..version import __version__
from . import commands
from .argument_types import layer_depth, path, positive, rate, whole
from .sweep_command import run_sweep
from .terminal import printable

Option = tuple[str, dict[str, Any]]  # the arguments of ``add_argument``
Value = Callable[[str], Any] | Iterable[Any]  # how the text is read, or the choices there are


def option(name: str, help: str, value: Value, default: Any = None, **rest: Any) -> Option:
    """An option, or without dashes an argument; the help ends with the default, if there is one."""
    kind = {"type": value} if callable(value) else {"choices": list(value)}
    shown = " (default: %(default)s)" if default not in (None, ()) and "default" not in help else ""
    return name, {"help": help + shown, "default": default, **kind, **rest}


def flag(name: str, help: str, **rest: Any) -> Option:
    """An option without a value, off unless it is given."""
    return name, {"help": help, "action": "store_true", **rest}


NETWORK = option("model", "the network", sorted(MODELS))
CHECKPOINT = option("checkpoint", "an .npz file of tinyadtn's", path, metavar="CHECKPOINT")
DATA_HELP = "a name that `tinyadtn data list` shows, a folder, or a file of features"
DATA = option("--data", f"{DATA_HELP} (default: what the checkpoint names, else mnist-5k)", path)
DEVICE = option(
    "--device", "where to compute; cuda needs CuPy and an NVIDIA GPU", ["cpu", "cuda"], "cpu"
)
OVERWRITE = flag("--overwrite", "write to --out even if that replaces files of an earlier run")
ALWAYS = [flag("--quiet", "no progress bars"), flag("--debug", "show the traceback of an error")]


def of_plan(name: str, help: str, value: Value) -> Option:
    """An option of ``TrainingPlan``; the default stands in its help alone.

    A resumed run keeps its plan, so an option that was not given must stay None.
    """
    default = getattr(TrainingPlan, name[2:].replace("-", "_"))
    return option(name, f"{help} (default: {'no limit' if default is None else default})", value)


PLAN = [  # one for each field of ``TrainingPlan``
    of_plan("--epochs", "passes over the data", positive),
    of_plan("--batch-size", "images per step", positive),
    of_plan("--optimizer", "update rule", sorted(OPTIMIZERS)),
    of_plan("--learning-rate", "peak learning rate", rate),
    of_plan("--schedule", "learning-rate schedule", sorted(SCHEDULES)),
    of_plan("--momentum", "momentum of sgd", float),
    of_plan("--weight-decay", "decoupled weight decay, times the learning rate", float),
    of_plan("--clip", "largest norm of all gradients together", rate),
    flag("--augment", "crop images at random, mirror every second; not for digits", default=None),
    of_plan("--seed", "seed of every random draw", whole),
]
ENCODE = "layers whose weights become ADTNs, with the depth, as in fc1=1 conv4_*=2"
TRAIN = [
    *(NETWORK, DATA, DEVICE, *PLAN),
    option("--out", "folder for checkpoints (default: runs/train, or that of --resume)", path),
    OVERWRITE,
    option("--resume", "the last.npz of a run to continue", path, metavar="FILE"),
    option("--save-minutes", "longest time between two checkpoints", rate, SAVE_MINUTES),
    option("--encode", ENCODE, layer_depth, (), nargs="+", metavar="LAYER=DEPTH"),
]
LAYERS = "layers to encode, names or patterns (default: fc1 fc2)"
COMPRESS = [
    *(NETWORK, option("--data", DATA_HELP, path, "mnist-5k"), DEVICE),
    option("--layers", LAYERS, str, ["fc1", "fc2"], nargs="+"),
    option("--depth", "M, the number of TN layers", positive, 2),
    option("--activation", "activation between TN layers", ACTIVATIONS, "relu"),
    option("--start", "initialization of the gates", STARTS, "orthogonal"),
    option("--order", "site order", ORDERS, "mirrored"),
    option("--wiring", "which sites gates join", WIRINGS, "brick_wall"),
    option("--site-dim", "dimension of a site; 4 is two bits", positive, 2),
    option("--dense", "trained dense network to use, a checkpoint", path, metavar="FILE"),
    option("--epochs", "epochs of the ADTNs", positive, 40),
    option("--dense-epochs", "epochs of the dense network", positive, 40),
    option("--fit-steps", "steps of fitting the ADTNs to the dense weights", positive, 500),
    option("--learning-rate", "peak learning rate of the ADTNs", rate, 0.03),
    option("--dense-learning-rate", "peak learning rate of the dense network", rate, 0.002),
    option("--batch-size", "images per step", positive, 128),
    option("--seeds", "number of seeds: 0, 1, …", positive, 1),
    option("--out", "folder for everything (default: runs/compress-MODEL)", path),
    OVERWRITE,
]
EVALUATE = [
    *(CHECKPOINT, DATA, DEVICE),
    option("--split", "images to evaluate on", ["train", "validation", "test"], "test"),
]
FEATURES = [
    *(CHECKPOINT, DATA, DEVICE),
    option("--before", "first layer to leave out", str, "fc1", metavar="LAYER"),
    option("--out", "the .npz file to write", path, metavar="FILE", required=True),
    OVERWRITE,
]
PREDICT = [
    option("images", "PNG, JPEG or the like", path, nargs="+", metavar="IMAGE"),
    option("--model", "checkpoint", path, "runs/demo/fine-tuned.npz", metavar="FILE"),
    DEVICE,
]
REPORT = [
    CHECKPOINT,
    flag("--timing", "measure the encoded layers: dense, decoded, and without decoding"),
    option("--batch-size", "images in the timed batch", positive, 128),
]
DRAW = [CHECKPOINT, option("--out", "folder for PNG files", path, "runs/pictures"), OVERWRITE]
PIVOT = "Markdown: a line per method, a column per value of this option; stored parameters and %%"
SWEEP = [
    option("spec", "the TOML file; README has one", path, metavar="SPEC"),
    option("--out", "results (default: SPEC with .jsonl)", path, metavar="FILE"),
    option("--rows", "only these rows: names or patterns", str, (), nargs="+", metavar="ROW"),
    flag("--dry-run", "list the runs without doing them"),
    flag("--table", "show the results there are, without doing runs"),
    flag("--best", "of rows that differ in learning rate alone show the best on validation"),
    flag("--markdown", "print the table in Markdown"),
    option("--pivot", PIVOT, str, metavar="OPTION"),
    option("--split", "split that --pivot shows (default: test)", SPLITS),
    option("--digits", "decimals of an accuracy", int, DIGITS, choices=range(5)),
    option("--plot", "PNG file: accuracy against stored parameters", path, metavar="FILE"),
    option("--workers", "processes (default: one per core; on a GPU one)", positive),
    option("--blas-threads", "BLAS threads per process (default: 1)", positive),
    option("--executor", "Dask cluster that does the runs", str, metavar="dask://HOST:PORT"),
    DEVICE,
    flag("--retry-failed", "repeat the runs that failed"),
]
DATASET = option("name", "a name that `tinyadtn data list` shows", str)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        super().error(printable(message))


def build_parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    parser = _Parser(
        prog="tinyadtn",
        description="Compress neural networks with tensor networks, in plain NumPy.",
        epilog='Begin with "tinyadtn compress fc2": two minutes, on bundled MNIST digits.',
    )
    parser.add_argument("--version", action="version", version=f"tinyadtn {__version__}")
    add = _adder(parser.add_subparsers(metavar="COMMAND", required=True))
    add("train", commands.train_model, TRAIN, "train a network, dense or encoded")
    add("compress", commands.compress_model, COMPRESS, "train, encode, fine-tune, and compare")
    add("evaluate", commands.evaluate_model, EVALUATE, "loss and accuracy of a model")
    add("features", commands.write_features, FEATURES, "store the output of a model's first layers")
    add("predict", commands.predict_image, PREDICT, "which digit is in a picture?")
    add("report", commands.print_report, REPORT, "parameters and bytes of a model's weights")
    add("draw", commands.draw_model, DRAW, "pictures of a model's ADTNs and their spectra")
    add("sweep", run_sweep, SWEEP, "many runs from a TOML file; continues one that was stopped")
    data = add("data", None, [], "list or get data sets")
    add = _adder(data.add_subparsers(metavar="list | get", required=True))
    add("list", commands.list_data, [], "list the data sets and where they are")
    add("get", commands.get_data, [DATASET], "download a data set and check its contents")
    return parser


def _adder(actions: Any) -> Callable[..., argparse.ArgumentParser]:
    """A function that adds one command: its name, its function, its options, one line of help."""

    def add(name: str, run: Any, options: list[Option], summary: str) -> argparse.ArgumentParser:
        description = summary[0].upper() + summary[1:] + ("" if summary.endswith("?") else ".")
        command = actions.add_parser(name, help=summary, description=description)
        for words, settings in [*(ALWAYS if run else []), *options]:
            command.add_argument(words, **settings)
        command.set_defaults(run=run)
        return command

    return add
