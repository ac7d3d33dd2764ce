"""Whatever is typed behind ``tinyadtn``: a documented exit code, one line, no file elsewhere.

Hypothesis puts words together: commands, options and values that exist, mixed with ones that do
not, numbers out of every range, names that lead elsewhere, files that are something else. What is
good enough to train is stopped after three steps, as by an interrupt: nothing here takes long.
"""

import argparse
import contextlib
import io
import itertools
import os
import shutil
import tempfile
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from data_files import small_set, write_set
from hypothesis import given, settings
from hypothesis import strategies as st

import tinyadtn as ta
from tinyadtn.cli.main import EXIT_CODES, build_parser, main
from tinyadtn.data import fetching
from tinyadtn.nn import optim
from tinyadtn.studies.results import ResultsFile
from tinyadtn.studies.spec import read_spec
from tinyadtn.tensor_networks.orders import ORDERS
from tinyadtn.tensor_networks.starts import STARTS

DOCUMENTED = {0, 1, 2, 3, 4, 5, 6, 7, 130}
STEPS = 3  # updates until the run is interrupted
MEMORY = 2**27  # what this machine is said to have, so that no large network is built

# --- words ---------------------------------------------------------------------------------------

# fmt: off
ODD_TEXT = st.text(max_size=12).filter(lambda t: not t.startswith(("/", "~")) and ".." not in t)
ODD_NUMBER = st.sampled_from([
    "0", "-1", "1e999", "nan", "inf", "-inf", "1.5", "", " 3", "٣", "0x10", "1_000", "9" * 25,
    "9" * 5000, "1e-320", "1e30", "True", "3.0",
])
NUMBER = st.one_of(st.integers(1, 4).map(str), ODD_NUMBER, st.integers().map(str))
RATE = st.one_of(st.sampled_from(["0.1", "1e-3", "1e30"]), ODD_NUMBER, st.floats().map(str))
FILES = ["dense.npz", "small.npz", "state.npz", "text", "empty.npz", "missing.npz", "digits",
         "picture.png", ".", "digits/train-images-idx3-ubyte.gz", "/dev/null", "/proc/self/mem",
         "a\nb.npz", "\x1b[31m.npz", "name\0.npz", "x" * 300, "", "text/below", "../dense.npz"]
FILE = st.one_of(st.sampled_from(FILES), st.sampled_from(FILES[:4]), ODD_TEXT)
FOLDER = st.one_of(
    st.sampled_from(["out", "out", "old", "deep/er/out", "out/../other", "../beside", "text",
                     "text/below", "/proc/x", "/dev/null", "", " ", "-", "out\nput", "y" * 300]),
    ODD_TEXT,
)
DATA = st.one_of(
    st.sampled_from(["digits", "digits", "digits", "digits", "mnist", "cifar10", "text", ".",
                     "nowhere", "", "../digits", "/dev/zero", "features.npz", "features.npz",
                     "dense.npz", "empty.npz", "pets", "pets", "pets/c", "own.csv", "picture.png"]),
    ODD_TEXT,
)
MODEL = st.one_of(st.sampled_from(["fc2", "fc2", "lenet5", "fc9", "FC2", ""]), ODD_TEXT)
LAYER = st.sampled_from(["fc1", "fc2", "fc*", "*", "conv1", "conv?", "[", "", "../fc1",
                         "fc1.weight", "normalize", "fc1,fc2", "**"])
DEPTH = st.builds("{}{}{}".format, LAYER, st.sampled_from(["=", "=", "=", "", "==", ":"]), NUMBER)
ENCODING = st.builds(
    "{}={}:{}".format, LAYER,
    st.sampled_from(["ADTN", "LowRank", "TensorTrain", "Tucker", "Frozen", "Part", "adtn", ""]),
    st.sampled_from(["", "depth=1", "rank=1", "ranks=1", "rank=0", "ranks=(1,2)", "order=tree",
                     "depth=1,normalized=False", "rng=1", "a", "=", "rank=[", "rank=f()"]),
)
ENCODE = st.one_of(DEPTH, DEPTH, ENCODING)
# fmt: on


def some(words, least=1):
    return st.lists(words, min_size=least, max_size=3)


def option(name, *values):
    """(the name, the option with values, sometimes with one too few)."""
    values = [v if isinstance(v, st.SearchStrategy) else st.just(v) for v in values]
    whole = st.tuples(*(v.map(lambda x: x if isinstance(x, list) else [x]) for v in values))
    said = whole.map(lambda parts: [name, *(word for part in parts for word in part)])
    return name, st.one_of(said, said, st.just([name]))


def choice(*words):
    return st.one_of(st.sampled_from(words), st.sampled_from(words), ODD_TEXT)


ALWAYS = [option("--quiet"), option("--debug"), option("--help"), option("--colour", "red")]
DEVICE = option("--device", choice("cpu", "cuda"))
PLAN = [
    option("--epochs", NUMBER),
    option("--batch-size", NUMBER),
    option("--learning-rate", RATE),
    option("--data", DATA),
    option("--data", "digits"),
    option("--out", FOLDER),
    DEVICE,
]
# Of the sound spec nothing is done: runs are processes, which no patch reaches.
SPEC = st.one_of(
    *(st.just(["good.toml", word]) for word in ("--dry-run", "--table", "--table")),
    st.sampled_from(
        ["no_rows.toml", "deep.toml", "many.toml", "kinds.toml", "text", "state.npz", "digits",
         "missing.toml", "picture.png", "/dev/zero", "/dev/null", "", "a\0b", "text/below"]
    ).map(lambda file: [file]),
    ODD_TEXT.map(lambda file: [file]),
)  # fmt: skip
RESULTS = st.sampled_from(
    ["good.jsonl", "good.toml", "damaged.jsonl", "state.npz", "digits", "new.jsonl", "/dev/zero",
     "text/below", "", "a\0b", "y" * 300]
)  # fmt: skip
PICTURE = st.sampled_from(
    ["new.png", "new.png", "good.toml", "good.jsonl", "text", "nowhere/new.png", "text/below.png",
     "", "a\0.png", ".png", "y" * 300 + ".png", "picture.png"]
)  # fmt: skip
MADE = st.sampled_from(
    ["new.npz", "new.npz", "deep/er/new.npz", "features.npz", "dense.npz", "new.txt", "digits",
     "text/below.npz", "", "a\0b.npz", "y" * 300 + ".npz", "/proc/x/new.npz"]
)  # fmt: skip
# command: (words that must come, in their order; options)
COMMANDS = {
    "train": (
        [MODEL.map(lambda m: [m])],
        [
            *PLAN,
            option("--optimizer", choice("sgd", "adam")),
            option("--schedule", choice("one_cycle", "cosine", "constant")),
            option("--loss", choice("softmax_cross_entropy", "no:where")),
            option("--momentum", RATE),
            option("--weight-decay", RATE),
            option("--clip", RATE),
            option("--label-smoothing", RATE),
            option("--widths", st.lists(NUMBER, max_size=2)),
            option("--augment"),
            option("--drop-last"),
            option("--seed", NUMBER),
            option("--resume", FILE),
            option("--save-minutes", RATE),
            option("--encode", some(ENCODE)),
            option("--overwrite"),
        ],
    ),
    "compress": (
        [MODEL.map(lambda m: [m])],
        [
            *PLAN,
            option("--layers", some(LAYER)),
            option("--depth", NUMBER),
            option("--activation", choice("relu", "tanh", "identity")),
            option("--start", choice(*STARTS)),
            option("--order", choice(*ORDERS)),
            option("--wiring", choice("brick_wall", "tree")),
            option("--site-dim", NUMBER),
            option("--dense", FILE),
            option("--widths", st.lists(NUMBER, max_size=2)),
            option("--encode", some(ENCODE)),
            option("--dense-epochs", NUMBER),
            option("--fit-steps", NUMBER),
            option("--dense-learning-rate", RATE),
            option("--seeds", NUMBER),
            option("--overwrite"),
        ],
    ),
    "sensitivity": (
        [FILE.map(lambda f: [f])],
        [
            option("--data", DATA),
            option("--encode", ENCODING.map(lambda e: e.partition("=")[2])),
            option("--layers", LAYER),
            option("--epochs", choice("0", "1", "-1")),
            option("--learning-rate", RATE),
            option("--out", PICTURE),
            option("--overwrite"),
        ],
    ),
    "evaluate": (
        [FILE.map(lambda f: [f])],
        [
            *(option("--data", DATA), DEVICE),
            option("--split", choice("train", "test", "validation")),
            option("--network", choice("fc2", "lenet5", "no:where")),
            option("--widths", st.lists(NUMBER, max_size=2)),
            option("--encode", some(ENCODE)),
        ],
    ),
    "features": (
        [FILE.map(lambda f: [f]), MADE.map(lambda f: ["--out", f])],
        [
            option("--before", choice("fc1", "fc2", "flatten", "fc3", "")),
            option("--data", DATA),
            option("--data", "digits"),
            option("--out", MADE),
            option("--overwrite"),
            DEVICE,
        ],
    ),
    "export": (
        [FILE.map(lambda f: [f]), MADE.map(lambda f: ["--out", f])],
        [option("--out", choice("new.onnx", "new.safetensors")), option("--overwrite")],
    ),
    "predict": (
        [some(FILE)],
        [option("--model", FILE), option("--model", "dense.npz"), option("--ink"), DEVICE],
    ),
    "report": (
        [FILE.map(lambda f: [f])],
        [option("--timing"), option("--batch-size", NUMBER)],
    ),
    "draw": ([FILE.map(lambda f: [f])], [option("--out", FOLDER), option("--overwrite")]),
    "data list": ([], []),
    "data get": ([choice("mnist", "mnist-5k", "cifar10", "../x").map(lambda n: [n])], []),
    "data show": ([DATA.map(lambda f: [f])], [option("--size", NUMBER)]),
    "data import": (
        [DATA.map(lambda f: [f]), MADE.map(lambda f: ["--out", f])],
        [option("--size", NUMBER), option("--out", MADE), option("--overwrite")],
    ),
    "data": ([], []),
    "sweep": (
        [SPEC],
        [
            option("--out", RESULTS),
            option("--rows", some(choice("a", "b", "*", "[", "nowhere", ""))),
            option("--dry-run"),
            option("--table"),
            option("--best"),
            option("--markdown"),
            option("--pivot", choice("epochs", "seed", "learning_rate", "")),
            option("--split", choice("test", "validation", "train")),
            option("--digits", NUMBER),
            option("--plot", PICTURE),
            option("--overwrite"),
            option("--workers", NUMBER),
            option("--blas-threads", NUMBER),
            option("--executor", choice("dask://h:1", "ray://h", "")),
            DEVICE,
            option("--retry-failed"),
        ],
    ),
    "": ([], [option("--version")]),
}


@st.composite
def lines(draw):
    """The words of a command line, most of them sensible."""
    command = draw(st.sampled_from(list(COMMANDS)))
    must, may = COMMANDS[command]
    parts = [draw(words) for words in must]
    most = st.lists(st.sampled_from([*may, *may, *may, *ALWAYS]), max_size=5)
    parts += [draw(words) for _, words in draw(most)]
    if draw(st.integers(0, 9)) == 0:
        parts = draw(st.permutations(parts))
    return [*command.split(), *(word for part in parts for word in part)]


# --- a place to run them in ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """What every example finds: small sound files, and a few that are not."""
    here = tmp_path_factory.mktemp("template")
    rng = np.random.default_rng(0)
    arrays = small_set()
    for key, values in arrays.items():
        if key.endswith("images"):
            arrays[key] = rng.integers(0, 256, (len(values), 28, 28), dtype=np.uint8)
    write_set(here / "digits", arrays)
    model = ta.models.fc2(3, hidden=4, rng=0)
    ta.save(here / "dense.npz", model)
    ta.save(here / "small.npz", ta.compress(model, {"fc1": 1}, rng=0))
    data = ta.load_data(here / "digits")
    run = ta.train(model, data, out=here / "old", epochs=1, batch_size=8)
    next(run)
    run.close()
    shutil.copy(here / "old" / "last.npz", here / "state.npz")
    ta.save_features(here / "features.npz", ta.features(model, "fc2", data, show_progress=False))
    write_specs(here)
    (here / "text").write_text("hello")
    (here / "empty.npz").write_bytes(b"")
    pixels = np.zeros((28, 28), np.uint8)
    pixels[5:20, 10:14] = 255
    from PIL import Image

    Image.fromarray(pixels).save(here / "picture.png")
    for k in range(24):
        (here / "pets" / "cd"[k % 2]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels + np.uint8(k)).save(here / "pets" / "cd"[k % 2] / f"{k}.png")
    rows = [",".join(map(str, [k % 2, *(pixels.ravel() + k)])) for k in range(24)]
    (here / "own.csv").write_text("\n".join(rows))
    return here


def write_specs(here):
    """A sound spec with results, one of them of a run that failed, and some that do harm."""
    specs = {
        "good": "epochs = 1\nseeds = 2\n[rows.a]\n[rows.b]\nencode.fc1 = {each = [1, 2]}\n",
        "no_rows": "epochs = 1\n",
        "deep": "a = " + "[" * 5000,
        "many": "seeds = 100000000000\n[rows.a]\n",
        "kinds": "learning_rate = {a = 1}\n[rows.a]\n",
    }
    for name, text in specs.items():
        head = 'network = {name = "fc2", hidden = 4}\ndata = "digits"\n'
        (here / f"{name}.toml").write_text(head + text)
    numbers = {"stored": {"fc1": 3136, "fc2": 12}, "encoded": [], "model": 3155}
    done = {"status": "done", **numbers, "validation": 0.5, "test": 0.4}
    failed = {"status": "failed", "error": "NonFiniteError: \x1b[31m"}
    with ResultsFile(here / "good.jsonl") as file:
        for run in read_spec(here / "good.toml").runs[:-1]:
            head = {"row": run.row, "label": run.label, "config": run.config, "seed": run.seed}
            file.append({**head, **(failed if run.label == "b fc1=2" else done)})
    (here / "damaged.jsonl").write_text('{"row": "a", "test": null}\n')


def contents(folder):
    return {str(p): p.lstat().st_mtime_ns for p in folder.rglob("*") if not p.is_dir()}


@contextlib.contextmanager
def working_folder(template):
    with tempfile.TemporaryDirectory(prefix="tinyadtn-line-") as name:
        here = Path(name).resolve() / "here"
        shutil.copytree(template, here)
        before = Path.cwd()
        os.chdir(here)
        try:
            yield here
        finally:
            os.chdir(before)


@contextlib.contextmanager
def nothing_takes_long(cache):
    """No download, no large network, no picture of a wall, and an interrupt after a few steps."""
    plain, steps = optim.Optimizer.step, []

    def step(*arguments, **options):
        steps.append(1)
        if len(steps) > STEPS:
            raise KeyboardInterrupt
        return plain(*arguments, **options)

    def no_network(url, path):
        raise OSError(f"{url}: there is no network")

    def small(figure, path):
        Path(path).write_bytes(b"a picture")

    with contextlib.ExitStack() as stack:
        for target, name, value in [
            (optim.Optimizer, "step", step),
            (fetching, "_download", no_network),
            ("tinyadtn.limits", "memory_limit", lambda: MEMORY),
            ("tinyadtn.compression.timing", "SECONDS", 0.0),
            ("tinyadtn.draw", "save", small),
            ("tinyadtn.cli.sweep_command", "plot", lambda *_: None),
            *(("tinyadtn.draw", n, lambda *_, **__: None)
              for n in ("brick_wall", "singular_values", "cut_spectrum", "weights",
                        "training_curves")),
        ]:  # fmt: skip
            if isinstance(target, str):
                stack.enter_context(mock.patch(f"{target}.{name}", value))
            else:
                stack.enter_context(mock.patch.object(target, name, value))
        stack.enter_context(mock.patch.dict(os.environ, {"XDG_CACHE_HOME": str(cache)}))
        os.environ.pop("TINYADTN_DATA", None)
        yield


def run(words):
    """(exit code, stdout, stderr); an exception that is nobody's is raised."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(words)
        except SystemExit as end:
            code = end.code
    return code, out.getvalue(), err.getvalue()


def places(words, here):
    """Where this command may write: what --out or --plot names, the defaults, and the cache."""
    out = ("--o", "--p")
    named = [b for a, b in itertools.pairwise(words) if a.startswith(out) and b and "\0" not in b]
    named += [a.partition("=")[2] for a in words if a.startswith(out) and "=" in a]
    if words[:1] == ["sweep"]:  # of these nothing is ever the place of a picture
        named = [name for name in named if not name.endswith((".toml", ".jsonl"))]
    resumed = [
        b for a, b in itertools.pairwise(words) if a.startswith("--res") and b and "\0" not in b
    ]
    folders = [here / name for name in named if name] + [(here / r).parent for r in resumed]
    return [Path(os.path.normpath(f)) for f in [*folders, here / "runs"]]


FAMILY = tuple(kind for kind, _ in EXIT_CODES)
MANY = settings(max_examples=6 * settings.default.max_examples)


@MANY
@given(words=lines())
def test_no_line_gives_a_traceback_an_odd_code_or_a_file_elsewhere(template, words):
    with working_folder(template) as here:
        cache = here.parent / "cache"
        before = contents(here.parent)
        with nothing_takes_long(cache):
            try:
                code, out, err = run(words)
            except FAMILY:
                assert any(word.startswith("--deb") for word in words)  # --debug, as documented
                code, out, err = None, "", ""
        after = contents(here.parent)
    assert code in DOCUMENTED | {None}
    assert "Traceback" not in out + err
    if code not in (0, 1, None):
        last = err.replace("\r", "\n").rstrip("\n").split("\n")[-1]
        told = {130: ("interrupted",)}.get(code, ("error: ", "tinyadtn"))
        assert last.startswith(told) and (code == 130 or "error: " in last), err
        assert all(c.isprintable() for c in last)
    changed = {p for p in after if after[p] != before.get(p)} | (before.keys() - after.keys())
    allowed = [*places(words, here), *([cache] if words[:2] == ["data", "get"] else [])]
    for path in map(Path, changed):
        inside = [folder for folder in allowed if folder == path or folder in path.parents]
        assert inside, f"{path} was written, or is gone"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["train", "fc2", "--data", "digits", "--epochs", "9", "--quiet"], 130),
        (["train", "fc2", "--data", "digits", "--batch-size", "22", "--epochs", "1"], 0),
        (["train", "fc2", "--data", "digits", "--resume", "old/last.npz", "--quiet"], 0),
        (["train", "fc2", "--data", "digits", "--epochs", "999999999", "--quiet"], 130),
        (["train", "vgg16", "--data", "digits"], 6),
        (["compress", "fc2", "--data", "digits", "--fit-steps", "1", "--epochs", "1"], 130),
        (["evaluate", "dense.npz", "--data", "digits"], 0),
        (["features", "dense.npz", "--data", "digits", "--out", "deep/new.npz"], 0),
        (["features", "dense.npz", "--data", "digits", "--out", "features.npz"], 2),
        (["train", "fc2", "--data", "features.npz", "--batch-size", "22", "--epochs", "1"], 0),
        (["train", "head", "--data", "features.npz"], 6),
        (["predict", "picture.png", "--model", "dense.npz"], 0),
        (["draw", "small.npz", "--out", "pictures"], 0),
        (["report", "small.npz"], 0),
        (["report", "small.npz", "--timing", "--batch-size", "2"], 0),
        (["report", "small.npz", "--timing", "--batch-size", "999999999"], 6),
        (["sweep", "good.toml", "--dry-run"], 0),
        (["sweep", "good.toml", "--table", "--rows", "a", "--plot", "new.png"], 0),
        (["sweep", "good.toml", "--table"], 1),  # a run of it failed
        (["sweep", "many.toml"], 6),
        (["data", "get", "mnist"], 3),
        (["data", "list"], 0),
        (["data", "show", "digits"], 0),
        (["data", "import", "pets", "--out", "deep/new.npz"], 0),
        (["data", "import", "pets", "--size", "999999999", "--out", "new.npz"], 6),
        (
            [
                "train",
                "fc2",
                "--data",
                "pets",
                "--batch-size",
                "22",
                "--epochs",
                "1",
                "--encode",
                "fc1=LowRank:rank=1",
            ],
            0,
        ),
        (["--version"], 0),
    ],
)
def test_the_place_is_one_where_good_lines_work(template, words, code):
    """Or else everything above would fail, and that would look like success."""
    with working_folder(template) as here, nothing_takes_long(here.parent / "cache"):
        assert run(words)[0] == code


def options_of(parser, command=""):
    """(command, option) for all that can be typed, walking the parser itself."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield command, None
            for name, inner in action.choices.items():
                yield from options_of(inner, f"{command} {name}".strip())
        else:
            yield command, next(iter(action.option_strings), None)


def test_every_command_and_option_is_typed():
    typed = {(command, name) for command, (_, may) in COMMANDS.items() for name, _ in may}
    always = {name for name, _ in ALWAYS}
    for command, name in options_of(build_parser()):
        assert command in COMMANDS
        if name not in (None, "-h"):
            assert (command, name) in typed or name in always, f"{command} {name}"
