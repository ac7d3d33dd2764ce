"""The argparse parser of ``tinyadtn``: one function a command, with its options and their help."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from ..nn.models import MODELS
from ..studies.table import DIGITS, SPLITS
from ..tensor_networks.gates import ACTIVATIONS
from ..tensor_networks.orders import ORDERS
from ..tensor_networks.starts import STARTS
from ..tensor_networks.wirings import WIRINGS
from ..training.runs import OPTIMIZERS, SCHEDULES, TrainingPlan
from ..version import __version__
from . import commands
from .argument_types import layer_depth, path, positive, rate, whole
from .sweep_command import run_sweep
from .terminal import printable


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
    actions = parser.add_subparsers(metavar="COMMAND", required=True)
    for add in (_train, _compress, _evaluate, _features, _predict, _report, _draw, _data, _sweep):
        add(actions)
    return parser


def _command(actions: Any, name: str, run: Any, summary: str) -> argparse.ArgumentParser:
    description = summary[0].upper() + summary[1:] + ("" if summary.endswith("?") else ".")
    command = actions.add_parser(name, help=summary, description=description)
    command.add_argument("--quiet", action="store_true", help="no progress bars")
    command.add_argument("--debug", action="store_true", help="show the traceback of an error")
    command.set_defaults(run=run)
    return command


def _train(actions: Any) -> None:
    command = _command(actions, "train", commands.train_model, "train a network, dense or encoded")
    command.add_argument("model", choices=sorted(MODELS), help="the network")
    _add_data(command)
    _add_device(command)
    # A resumed run keeps its plan, so an option that was not given must stay unsaid: no defaults.
    plan = TrainingPlan()

    def option(name: str, help: str, **rest: Any) -> None:
        default = getattr(plan, name[2:].replace("-", "_"))
        shown = "no limit" if default is None else default
        command.add_argument(name, help=f"{help} (default: {shown})", **rest)

    option("--epochs", "passes over the data", type=positive)
    option("--batch-size", "images a step", type=positive)
    option("--learning-rate", "the highest of the run", type=rate)
    option("--optimizer", "how gradients become steps", choices=sorted(OPTIMIZERS))
    option("--schedule", "of the learning rate", choices=sorted(SCHEDULES))
    option("--momentum", "for sgd: what is kept of the last step", type=float)
    option("--weight-decay", "share of every weight lost a step, times the rate", type=float)
    option("--clip", "largest norm of all gradients together", type=rate)
    option(
        "--augment",
        "crop the images at random and mirror every second: not for digits",
        action="store_const",
        const=True,
    )
    option("--seed", "start, batch order and all else", type=whole)
    command.add_argument(
        "--out",
        type=path,
        help="folder for checkpoints (default: runs/train, or that of --resume)",
    )
    command.add_argument("--resume", type=path, metavar="FILE", help="go on from this last.npz")
    command.add_argument(
        "--save-minutes",
        type=rate,
        default=5.0,
        help="save at least this often, and after every epoch (default: %(default)g)",
    )
    command.add_argument(
        "--encode",
        nargs="+",
        type=layer_depth,
        default=[],
        metavar="LAYER=DEPTH",
        help="put ADTNs in the place of these layers' weights, as in fc1=1 conv4_*=2",
    )


def _compress(actions: Any) -> None:
    command = _command(
        actions,
        "compress",
        commands.compress_model,
        "train a network, encode its layers as ADTNs, fine-tune, and weigh what came of it",
    )
    command.add_argument("model", choices=sorted(MODELS), help="the network")
    _add_data(command, "mnist-5k")
    _add_device(command)
    command.add_argument(
        "--layers",
        nargs="+",
        default=["fc1", "fc2"],
        help="names or patterns of the layers to encode (default: fc1 fc2)",
    )

    def option(name: str, help: str, **rest: Any) -> None:
        command.add_argument(name, help=f"{help} (default: %(default)s)", **rest)

    option("--depth", "M, the number of TN layers", type=positive, default=2)
    option("--activation", "between TN layers", choices=list(ACTIVATIONS), default="relu")
    option("--start", "of the gates", choices=list(STARTS), default="orthogonal")
    option("--order", "of the sites", choices=list(ORDERS), default="mirrored")
    option("--wiring", "which sites gates join", choices=list(WIRINGS), default="brick_wall")
    option("--site-dim", "dimension of a site; 4 is two bits", type=positive, default=2)
    command.add_argument(
        "--dense",
        type=path,
        metavar="FILE",
        help="a dense network trained before, instead of training one",
    )
    option("--epochs", "for the ADTNs", type=positive, default=40)
    option("--dense-epochs", "for the dense network", type=positive, default=40)
    option("--fit-steps", "to come close to the dense weights", type=positive, default=500)
    option("--learning-rate", "the highest, for the ADTNs", type=rate, default=0.03)
    option("--dense-learning-rate", "the same for the dense network", type=rate, default=0.002)
    option("--batch-size", "images a step", type=positive, default=128)
    option("--seeds", "repeat with the seeds 0, 1, …", type=positive, default=1)
    command.add_argument(
        "--out", type=path, help="folder for everything (default: runs/compress-MODEL)"
    )
    command.add_argument(
        "--overwrite", action="store_true", help="use --out even if it holds an earlier run"
    )


def _evaluate(actions: Any) -> None:
    command = _command(actions, "evaluate", commands.evaluate_model, "loss and accuracy of a model")
    _add_checkpoint(command)
    _add_data(command)
    _add_device(command)
    command.add_argument(
        "--split",
        choices=["train", "validation", "test"],
        default="test",
        help="which images (default: %(default)s)",
    )


def _features(actions: Any) -> None:
    command = _command(
        actions,
        "features",
        commands.write_features,
        "store what a model's first layers make of a data set, to train heads on",
    )
    _add_checkpoint(command)
    command.add_argument(
        "--before",
        default="fc1",
        metavar="LAYER",
        help="the first layer that is left out (default: %(default)s)",
    )
    _add_data(command)
    _add_device(command)
    command.add_argument(
        "--out", type=path, required=True, metavar="FILE", help="the .npz file to write"
    )
    command.add_argument("--overwrite", action="store_true", help="write FILE even if it is there")


def _predict(actions: Any) -> None:
    command = _command(actions, "predict", commands.predict_image, "which digit is in a picture?")
    command.add_argument(
        "images", nargs="+", type=path, metavar="IMAGE", help="PNG, JPEG or the like"
    )
    command.add_argument(
        "--model",
        type=path,
        default="runs/demo/fine-tuned.npz",
        metavar="FILE",
        help="checkpoint of the network to ask (default: %(default)s)",
    )
    _add_device(command)


def _report(actions: Any) -> None:
    command = _command(actions, "report", commands.print_report, "what a model's weights take")
    _add_checkpoint(command)
    command.add_argument(
        "--timing", action="store_true", help="measure the encoded layers: dense, decoded or not"
    )
    command.add_argument(
        "--batch-size",
        type=positive,
        default=128,
        help="images in the batch that is timed (default: %(default)s)",
    )


def _draw(actions: Any) -> None:
    command = _command(
        actions, "draw", commands.draw_model, "pictures of a model's ADTNs and their spectra"
    )
    _add_checkpoint(command)
    command.add_argument(
        "--out",
        type=path,
        default="runs/pictures",
        help="folder for PNG files (default: %(default)s)",
    )


def _data(actions: Any) -> None:
    data = actions.add_parser("data", help="list or get data sets", description="Data sets.")
    inner = data.add_subparsers(metavar="list | get", required=True)
    _command(inner, "list", commands.list_data, "list the data sets and where they are")
    get = _command(inner, "get", commands.get_data, "download a data set and check its contents")
    get.add_argument("name", help="a name that `tinyadtn data list` shows")


def _sweep(actions: Any) -> None:
    command = _command(
        actions,
        "sweep",
        run_sweep,
        "many runs, as a TOML file describes them; goes on where it was stopped",
    )
    command.add_argument("spec", type=path, metavar="SPEC", help="the TOML file; README has one")
    command.add_argument(
        "--out", type=path, metavar="FILE", help="results (default: SPEC with .jsonl)"
    )
    command.add_argument(
        "--rows", nargs="+", default=[], metavar="ROW", help="only these rows: names or patterns"
    )
    command.add_argument("--dry-run", action="store_true", help="list the runs, and do none")
    command.add_argument("--table", action="store_true", help="show what is done, and do no more")
    command.add_argument(
        "--best",
        action="store_true",
        help="of rows that differ in their learning rate alone, show only the best on validation",
    )
    command.add_argument("--markdown", action="store_true", help="the table in Markdown")
    command.add_argument(
        "--pivot",
        metavar="OPTION",
        help="in Markdown, a line for each method and a column for each value of this option, "
        "depth say: stored numbers and accuracy, in %%",
    )
    command.add_argument(
        "--split", choices=SPLITS, help="whose accuracy --pivot shows (default: test)"
    )
    command.add_argument(
        "--digits",
        type=int,
        choices=range(5),
        default=DIGITS,
        help="after the point of an accuracy (default: %(default)s)",
    )
    command.add_argument(
        "--plot",
        type=path,
        metavar="FILE",
        help="a picture besides, a PNG file: accuracy against stored numbers, a curve a method",
    )
    command.add_argument(
        "--workers",
        type=positive,
        help="processes (default: as many as there are cores; on a GPU, one)",
    )
    command.add_argument(
        "--blas-threads", type=positive, help="BLAS threads of each process (default: 1)"
    )
    command.add_argument(
        "--executor", metavar="dask://HOST:PORT", help="do the runs on this Dask cluster instead"
    )
    _add_device(command)
    command.add_argument(
        "--retry-failed", action="store_true", help="do the runs that failed once more"
    )


def _add_data(command: argparse.ArgumentParser, default: str | None = None) -> None:
    usual = default or "what a training checkpoint names, else mnist-5k"
    command.add_argument(
        "--data",
        type=path,
        default=default,
        help="a name that `tinyadtn data list` shows, a folder, or a file of features "
        f"(default: {usual})",
    )


def _add_device(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--device",
        choices=["cpu", "cuda"],
        default="cpu",
        help="where to compute; cuda needs CuPy and an NVIDIA GPU (default: %(default)s)",
    )


def _add_checkpoint(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "checkpoint", type=path, metavar="CHECKPOINT", help="an .npz file of tinyadtn's"
    )
