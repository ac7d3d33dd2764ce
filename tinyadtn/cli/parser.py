"""The argparse parser of ``tinyadtn``, from a table of commands, their options and their help."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from ..errors import nearest
from ..nn.models import MODELS
from ..studies.table import DIGITS, SPLITS
from ..tables import printable
from ..tensor_networks.gates import ACTIVATIONS
from ..tensor_networks.orders import ORDERS
from ..tensor_networks.starts import STARTS
from ..tensor_networks.wirings import WIRINGS
from ..training.parts import KNOWN
from ..training.plan import TrainingPlan
from ..training.train import SAVE_MINUTES
from ..version import __version__
from . import checkpoint_commands as checkpoint
from . import data_commands
from .argument_types import network, path, positive, rate, whole
from .compress_command import compress_model
from .encode_option import KINDS, encoding, layer_encoding
from .recipes import ENCODED_RATE, VGG16
from .sweep_command import run_sweep
from .train_command import train_model

Option = tuple[str, dict[str, Any]]  # the arguments of ``add_argument``
Value = Callable[[str], Any] | Iterable[Any]  # a function that reads the text, or the choices


def option(name: str, help: str, value: Value, default: Any = None, **rest: Any) -> Option:
    """Return an option (an argument if its name has no dashes); the help ends with the default."""
    kind = {"type": value} if callable(value) else {"choices": list(value)}
    shown = " (default: %(default)s)" if default not in (None, ()) and "default" not in help else ""
    return name, {"help": help + shown, "default": default, **kind, **rest}


def checked(parse: Callable[[str], Any]) -> Callable[[str], str]:
    """Return a function that returns a text unchanged if ``parse`` takes it."""

    def text_of(text: str) -> str:
        parse(text)
        return text

    return text_of


def flag(name: str, help: str, **rest: Any) -> Option:
    """Return an option without a value, which is off by default."""
    return name, {"help": help, "action": "store_true", **rest}


NETWORKS = f"{', '.join(sorted(MODELS))}, or module:name"
NETWORK = option("model", NETWORKS, network, metavar="NETWORK")
NETWORK_OR_RESUME = option(
    "model",
    f"{NETWORKS} (not needed with --resume, unless it is yours)",
    network,
    nargs="?",
    metavar="NETWORK",
)
CHECKPOINT = option("checkpoint", "checkpoint, a .npz file of tinyadtn", path, metavar="CHECKPOINT")
DATA_HELP = "a name that `tinyadtn data list` shows, a folder, a .npz or a .csv file"
DATA = option("--data", f"{DATA_HELP} (default: what the checkpoint names, else mnist-5k)", path)
DEVICE = option(
    "--device", "device to compute on; cuda needs CuPy and an NVIDIA GPU", ["cpu", "cuda"], "cpu"
)
OVERWRITE = flag("--overwrite", "replace files of an earlier run in --out")
REPLACE = flag("--overwrite", "replace the file of --out")
NPZ_OUT = option("--out", ".npz file to write", path, metavar="FILE", required=True)
ALWAYS = [
    flag("--quiet", "hide progress bars"),
    flag("--debug", "show the traceback of an error"),
]


def of_plan(name: str, help: str, value: Value, also: str = "") -> Option:
    """Return an option of ``TrainingPlan``, whose default is only in the help.

    A resumed run keeps its plan, so an option that is not given must be None.
    """
    field = name[2:].replace("-", "_")
    default = getattr(TrainingPlan, field)
    shown = "no limit" if default is None else default
    own = f"; {VGG16[field]} for vgg16" if field in VGG16 else ""
    return option(name, f"{help} (default: {shown}{also}{own})", value)


OWN = {kind: f"{', '.join(sorted(known))}, or module:name" for kind, known in KNOWN.items()}
AUGMENT = (
    "crop and mirror training images at random; not for digits "
    "(default: no; yes for colour images in vgg16)"
)
ENCODED_ONLY = f"; {ENCODED_RATE} for fc2 and lenet5 with --encode"
PLAN = [  # one for each field of ``TrainingPlan``
    of_plan("--epochs", "number of passes over the training data", positive),
    of_plan("--batch-size", "images per step", positive),
    of_plan("--optimizer", f"update rule: {OWN['optimizer']}", str),
    of_plan("--learning-rate", "peak learning rate", rate, ENCODED_ONLY),
    of_plan("--schedule", f"learning-rate schedule: {OWN['schedule']}", str),
    of_plan("--loss", f"training loss: {OWN['loss']}", str),
    of_plan("--momentum", "momentum of sgd", float),
    of_plan("--weight-decay", "decoupled weight decay, times the learning rate", float),
    of_plan("--clip", "largest norm of the gradients of all parameters together", rate),
    of_plan("--label-smoothing", "share of the target that all classes divide equally", float),
    flag("--augment", AUGMENT, action=argparse.BooleanOptionalAction, default=None),
    flag("--drop-last", "leave out the last batch of an epoch if it is smaller", default=None),
    of_plan("--seed", "seed of every random draw", whole),
]
ENCODE = (
    "layers to encode: with the depth of an ADTN, as in fc1=1 conv4_*=2, or with an encoding "
    f"({', '.join(KINDS)}, or module:name) and its options, as in fc1=TensorTrain:ranks=4; "
    "fc1+fc2=2 is one ADTN for both"
)
ENCODES = option(
    "--encode", ENCODE, checked(layer_encoding), (), nargs="+", metavar="LAYER=ENCODING"
)
ONE_LAYER = "depth of an ADTN, or another encoding with its options, such as LowRank:rank=8"
WIDTHS = option(
    "--widths",
    "widths of the hidden linear layers; without any, these layers are left out, except in fc2 "
    "(default: the published ones)",
    positive,
    nargs="*",
    metavar="WIDTH",
)
TRAIN = [
    *(NETWORK_OR_RESUME, DATA, DEVICE, WIDTHS),
    *PLAN,
    option("--out", "folder for checkpoints (default: runs/train, or that of --resume)", path),
    OVERWRITE,
    option("--resume", "checkpoint of the run to continue, such as last.npz", path, metavar="FILE"),
    option("--save-minutes", "most minutes between two checkpoints", rate, SAVE_MINUTES),
    ENCODES,
]
WIRING = "wiring: the pairs of sites that gates act on"
SITE_DIM = "dimension of a site; a site of dimension 4 holds two bits"
LAYERS = "layers to encode with ADTNs, names or patterns (default: fc1 fc2)"
COMPRESS = [
    *(NETWORK, option("--data", DATA_HELP, path, "mnist-5k"), DEVICE, WIDTHS),
    option("--layers", LAYERS, str, nargs="+"),
    option("--depth", "M, the number of TN layers (default: 2)", positive),
    option("--activation", "activation between TN layers (default: relu)", ACTIVATIONS),
    option("--start", "initialization of the gates (default: orthogonal)", STARTS),
    option("--order", "site order (default: mirrored)", ORDERS),
    option("--wiring", f"{WIRING} (default: brick_wall)", WIRINGS),
    option("--site-dim", f"{SITE_DIM} (default: 2)", positive),
    ENCODES,
    option("--dense", "checkpoint of a trained dense network to compress", path, metavar="FILE"),
    option("--epochs", "epochs of the encoded networks", positive, 40),
    option("--dense-epochs", "epochs of the dense network", positive, 40),
    option("--fit-steps", "steps of fitting ADTNs to the dense weights", positive, 500),
    option("--learning-rate", "peak learning rate of the encoded networks", rate, 0.03),
    option("--dense-learning-rate", "peak learning rate of the dense network", rate, 0.002),
    option("--batch-size", "images per step", positive, 128),
    option("--seeds", "number of seeds: 0, 1, …", positive, 1),
    option("--out", "folder for all results (default: runs/compress-MODEL)", path),
    OVERWRITE,
]
SENSITIVITY = [
    *(CHECKPOINT, DATA),
    option("--encode", ONE_LAYER, checked(encoding), "2", metavar="ENCODING"),
    option("--layers", "pattern of the layers to try", str, "*", metavar="PATTERN"),
    option("--epochs", "epochs of training after the fit (default: 0)", whole, 0),
    option("--learning-rate", "peak learning rate of these epochs", rate, ENCODED_RATE),
    option("--out", "picture to write, a file that ends in .png", path, metavar="FILE"),
    REPLACE,
]
EVALUATE = [
    *(CHECKPOINT, DATA, DEVICE),
    option("--split", "split to evaluate on", ["train", "validation", "test"], "test"),
    option("--network", "the network, if it has parts of your own", network, metavar="NETWORK"),
    *(WIDTHS, ENCODES),
]
FEATURES = [
    *(CHECKPOINT, DATA, DEVICE),
    option("--before", "first layer to leave out", str, "fc1", metavar="LAYER"),
    *(NPZ_OUT, REPLACE),
]
PREDICT = [
    option("images", "picture (PNG, JPEG, …)", path, nargs="+", metavar="IMAGE"),
    option("--model", "checkpoint", path, "runs/demo/fine-tuned.npz", metavar="FILE"),
    flag("--ink", "cut to the ink and centre it, as always for networks of mnist and mnist-5k"),
    DEVICE,
]
REPORT = [
    CHECKPOINT,
    flag("--timing", "measure the time of encoded layers: dense, decoded, and without decoding"),
    option("--batch-size", "images in the timed batch", positive, 128),
]
DRAW = [CHECKPOINT, option("--out", "folder for PNG files", path, "runs/pictures"), OVERWRITE]
PIVOT = "Markdown table with a row per method and a column per value of this option"
SWEEP = [
    option("spec", "TOML file of the sweep; docs/sweeps.md explains it", path, metavar="SPEC"),
    option("--out", "results file (default: SPEC with the ending .jsonl)", path, metavar="FILE"),
    option(
        "--rows", "rows to use: names or patterns (default: all)", str, (), nargs="+", metavar="ROW"
    ),
    flag("--dry-run", "list the runs without doing them"),
    flag("--table", "show the existing results without doing runs"),
    flag("--best", "of rows that differ only in the learning rate, show the best on validation"),
    flag("--markdown", "print the table in Markdown"),
    option("--pivot", PIVOT, str, metavar="OPTION"),
    option("--split", "split that --pivot shows (default: test)", SPLITS),
    option("--digits", "number of decimals of accuracies", int, DIGITS, choices=range(5)),
    option(
        "--plot",
        "plot the existing results into a PNG file, without doing runs",
        path,
        metavar="FILE",
    ),
    option("--workers", "number of processes (default: one per core; one on a GPU)", positive),
    option("--blas-threads", "BLAS threads per process (default: 1)", positive),
    option("--executor", "Dask cluster that does the runs", str, metavar="dask://HOST:PORT"),
    DEVICE,
    flag("--retry-failed", "repeat the runs that failed"),
    flag("--overwrite", "replace an existing picture of --plot"),
]
EXPORT = [
    CHECKPOINT,
    option("--out", "file to write: .onnx or .safetensors", path, metavar="FILE", required=True),
    REPLACE,
]
DATASET = option("name", "a name that `tinyadtn data list` shows", str)
SOURCE = option("source", DATA_HELP, path, metavar="SOURCE")
SIZE = option("--size", "cut pictures to a square of this many pixels a side", positive)
IMPORT = [SOURCE, SIZE, NPZ_OUT, REPLACE]


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, and name the help of the command that they are about."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Return the options of one command; reject unknown ones with a hint."""
        options, unknown = super().parse_known_args(args, namespace)
        if unknown:
            words = [word.partition("=")[0] for word in unknown if word.startswith("-")]
            hint = nearest(words[0], self._option_string_actions) if words else ""
            self.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
        return options, unknown

    def error(self, message: str) -> NoReturn:
        """Print the message, without control characters; exit with code 2.

        The usage is left out: with thirty options it hides the message.
        """
        self.exit(2, f"{self.prog}: error: {printable(message)} (options: {self.prog} --help)\n")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser with all commands and their options."""
    parser = Parser(
        prog="tinyadtn",
        description="Compress neural networks with tensor networks, in plain NumPy.",
        epilog='Begin with "tinyadtn compress fc2": two minutes, on bundled MNIST digits.',
    )
    parser.add_argument("--version", action="version", version=f"tinyadtn {__version__}")
    add = adder(parser.add_subparsers(metavar="COMMAND", required=True))
    add("train", train_model, TRAIN, "train a network, dense or encoded")
    add("compress", compress_model, COMPRESS, "train, encode and fine-tune a network, and compare")
    add("evaluate", checkpoint.evaluate_model, EVALUATE, "print the loss and accuracy of a model")
    add(
        "features",
        checkpoint.write_features,
        FEATURES,
        "store the output of a model's first layers",
    )
    add("export", checkpoint.export_model, EXPORT, "write a model for other programs")
    add(
        "sensitivity", checkpoint.try_layers, SENSITIVITY, "encode one layer at a time, and compare"
    )
    add("predict", checkpoint.predict_image, PREDICT, "predict the class of a picture")
    add(
        "report", checkpoint.print_report, REPORT, "print parameters and bytes of a model's weights"
    )
    add("draw", checkpoint.draw_model, DRAW, "draw a model's ADTNs and their spectra")
    add("sweep", run_sweep, SWEEP, "do the runs of a TOML file; continue a sweep that was stopped")
    data = add("data", None, [], "list, download, show or import data sets")
    add = adder(data.add_subparsers(metavar="list | get | show | import", required=True))
    add("list", data_commands.list_data, [], "list the data sets and where they are")
    add("get", data_commands.get_data, [DATASET], "download a data set and check its contents")
    add("show", data_commands.show_data, [SOURCE, SIZE], "print sizes, classes, mean and hash")
    add("import", data_commands.import_data, IMPORT, "write your own data to one file for --data")
    return parser


def adder(actions: Any) -> Callable[..., argparse.ArgumentParser]:
    """Return a function that adds one command with its function, its options and its help."""

    def add(name: str, run: Any, options: list[Option], summary: str) -> argparse.ArgumentParser:
        description = summary[0].upper() + summary[1:] + "."
        command = actions.add_parser(name, help=summary, description=description)
        every = [*(ALWAYS if run else []), *options]
        added = [command.add_argument(words, **settings) for words, settings in every]
        defaults = {a.dest: a.default for a in added}
        command.set_defaults(run=run, defaults=defaults, error=command.error)
        return command

    return add
