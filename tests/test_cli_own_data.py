"""The command line with your own data, with every encoding, and the command that comes next."""

import re
import shlex
import sys
from pathlib import Path

import docs_pages
import numpy as np
import pytest
from own_data import NAMES, some, write_csv, write_pictures
from PIL import Image

import tinyadtn as ta
from tinyadtn.cli.encode_option import layer_encoding
from tinyadtn.cli.main import main
from tinyadtn.data.picture import read_picture
from tinyadtn.files.state import read_state
from tinyadtn.studies.parts import recipe_of


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def pets(in_a_folder_of_its_own):
    """A folder of colour pictures with the names of three classes: each has its own colour."""
    images, labels = some(90, (14, 14, 3))
    images[np.arange(90), :, :, labels] = 255
    write_pictures(Path("pets"), images, NAMES[labels])
    return "pets"


def output(capsys, *words):
    assert main([*words]) == 0
    return capsys.readouterr().out


def next_of(text):
    (line,) = re.findall(r"^Next: tinyadtn (.*)$", text, re.MULTILINE)
    return shlex.split(line)


# --- your own data -------------------------------------------------------------------------------


def test_from_a_folder_of_pictures_to_a_prediction_by_the_commands_that_are_printed(pets, capsys):
    text = output(capsys, "data", "import", pets, "--out", "pets.npz")
    for word in (
        "3×14×14: train 69, validation 6, test 15",
        "cat",
        "hen",
        "SHA-256",
        "pets.npz, 0",
    ):
        assert word in text
    words = next_of(text)
    assert words == ["train", "fc2", "--data", "pets.npz"]
    words = next_of(output(capsys, *words, "--epochs", "8", "--quiet"))
    assert words == ["evaluate", "runs/train/best.npz"]
    text = output(capsys, *words)
    accuracy = float(re.match(r"test of pets.npz, 15 images: accuracy (\S+) %", text)[1])
    assert accuracy > 80
    assert next_of(text) == ["report", "runs/train/best.npz"]
    text = output(capsys, "predict", "pets/hen/002.png", "--model", "runs/train/best.npz")
    assert text.startswith("pets/hen/002.png: hen\n  hen  ")
    assert read_state("runs/train/best.npz")[1]["data"]["classes"] == ["cat", "dog", "hen"]


def test_show_prints_the_card_and_changes_nothing(pets, capsys):
    before = sorted(Path().rglob("*"))
    text = output(capsys, "data", "show", pets)
    assert str(ta.load_data(pets).card()) in text
    assert next_of(text) == ["train", "fc2", "--data", "pets"]
    text = output(capsys, "data", "show", pets, "--size", "8")
    assert "3×8×8" in text
    assert next_of(text) == ["data", "import", "pets", "--size", "8", "--out", "square.npz"]
    assert sorted(Path().rglob("*")) == before


@pytest.mark.parametrize("source", ["own.csv", "own.npz", "own", "mnist-5k"])
def test_import_takes_every_source(source, capsys):
    images, labels = some(36)
    if source == "own.csv":
        write_csv(Path(source), images, labels)
    elif source != "mnist-5k":
        Path("own").mkdir()
        np.savez("own.npz", x=images, y=labels)
        np.save("own/images.npy", images)
        np.save("own/labels.npy", labels)
    output(capsys, "data", "import", source, "--out", "new/one.npz")
    expected, found = ta.load_data(source), ta.load_data("new/one.npz")
    assert found.identity()["sha256"] == expected.identity()["sha256"]
    assert found.classes == expected.classes


def test_pictures_that_are_not_square_are_cut(capsys):
    images, labels = some(36, (10, 20))
    write_pictures(Path("wide"), images, labels)
    words = next_of(output(capsys, "data", "show", "wide"))
    assert words == ["data", "import", "wide", "--size", "32", "--out", "square.npz"]
    assert next_of(output(capsys, *words)) == ["train", "fc2", "--data", "square.npz"]
    assert ta.load_data("square.npz").train.images.shape[1:] == (1, 32, 32)
    np.savez("wide.npz", x=images, y=labels)  # what cannot be cut gets no such advice
    text = output(capsys, "data", "show", "wide.npz")
    assert "these are 10×20" in text and "Next" not in text


def test_import_replaces_nothing_unasked(pets, capsys):
    job = ["data", "import", pets, "--out", "pets.npz"]
    Path("pets.npz").write_text("precious")
    assert main(job) == 2 and "--overwrite" in capsys.readouterr().err
    assert Path("pets.npz").read_text() == "precious"
    assert main([*job, "--overwrite"]) == 0
    before = Path("pets.npz").read_bytes()
    again = ["data", "import", "pets.npz", "--out", "./pets.npz", "--overwrite"]
    assert main(again) == 2 and "would replace its source" in capsys.readouterr().err
    assert Path("pets.npz").read_bytes() == before
    assert main(["data", "import", pets, "--out", "pets.bin"]) == 2
    assert "ends in .npz" in capsys.readouterr().err


def test_what_is_no_data_set_is_an_error_of_data(capsys):
    Path("empty").mkdir()
    for command in (["show"], ["import", "--out", "new.npz"]):
        assert main(["data", *command[:1], "empty", *command[1:]]) == 3
        told = capsys.readouterr()
        assert told.out == "" and "a folder of pictures for each class" in told.err
    assert not Path("new.npz").exists()


def test_a_checkpoint_whose_data_are_elsewhere_says_so(pets, capsys, monkeypatch):
    output(capsys, "train", "fc2", "--data", pets, "--epochs", "1", "--quiet")
    Path("other").mkdir()
    monkeypatch.chdir("other")
    assert main(["evaluate", "../runs/train/last.npz"]) == 3
    message = capsys.readouterr().err
    assert "../runs/train/last.npz names these data" in message and "--data" in message
    output(capsys, "evaluate", "../runs/train/last.npz", "--data", "../pets")


# --- encodings -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("fc1=2", ta.ADTN.like(depth=2)),
        ("fc1=ADTN", ta.ADTN.like()),
        ("fc1=ADTN:", ta.ADTN.like()),
        ("fc1=ADTN:depth=3,order=interleaved,normalized=False,site_dim=4",
         ta.ADTN.like(depth=3, order="interleaved", normalized=False, site_dim=4)),
        ("fc1=LowRank:rank=8", ta.LowRank.like(8)),
        ("fc1=Frozen", ta.Frozen.like()),
        ("fc1=TensorTrain:ranks=4", ta.TensorTrain.like([[8, 8, 4], [7, 8, 14]], 4)),
        ("fc1=TensorTrain:ranks=(4, 8),modes=((4,8,8),(16,7,7))",
         ta.TensorTrain.like(((4, 8, 8), (16, 7, 7)), (4, 8))),
        ("fc1=TensorTrain:ranks=[4,8]", ta.TensorTrain.like([[8, 8, 4], [7, 8, 14]], [4, 8])),
        ("fc1=Quantized:bits=8,of=2", ta.Quantized.like(8, of=2)),
        ("fc1=Quantized:bits=4,of=TensorTrain(ranks=(2,3))",
         ta.Quantized.like(4, of=ta.TensorTrain.like(ranks=(2, 3)))),
        ("fc1=Update:of=Quantized(bits=4, of=LowRank(rank=2))",
         ta.Update.like(of=ta.Quantized.like(4, of=ta.LowRank.like(2)))),
        ("fc1=Quantized:bits=4,of=Frozen", ta.Quantized.like(4, of=ta.Frozen.like())),
    ],
)  # fmt: skip
def test_any_encoding_with_its_options(text, expected):
    layer, value = layer_encoding(text)
    model = ta.models.fc2(rng=0)
    mine, other = (ta.compress(model, {layer: v}, rng=0) for v in (recipe_of(value), expected))
    assert mine.fc1.weight.config == other.fc1.weight.config
    for name, array in mine.arrays().items():
        np.testing.assert_array_equal(array, other.arrays()[name])


def test_a_kernel_as_tucker():
    layer, value = layer_encoding("conv2=Tucker:ranks=3")
    small = ta.compress(ta.models.lenet5(rng=0), {layer: recipe_of(value)}, rng=0)
    assert small.conv2.weight.ranks == (3, 3)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("fc1", "LAYER=DEPTH"),
        ("=2", "LAYER=DEPTH"),
        ("fc1=", "LAYER=DEPTH"),
        ("fc1=0", "from 1 up"),
        ("fc1=TensorTrian:ranks=4", r"did you mean TensorTrain\?"),
        ("fc1=Part", "one of ADTN"),
        ("fc1=LowRank", "LowRank needs rank"),
        ("fc1=LowRank:ranks=3", r"unknown 'ranks'; did you mean rank\?"),
        ("fc1=ADTN:rng=3", "unknown 'rng'"),
        ("fc1=ADTN:3", "option=value"),
        ("fc1=ADTN:depth=", "option=value"),
        ("fc1=ADTN:depth=2**9**9", "option=value"),
        ("fc1=ADTN:depth=__import__('os')", "option=value"),
        ("fc1=ADTN:**{}", "option=value|unknown"),
        ("fc1=ADTN:depth=2).x(", "option=value"),
        ("fc1=ADTN:depth=" + "(" * 900, "option=value"),
        ("fc1=ADTN:depth=" + "1" * 2000, "fc1: expected the depth of an ADTN, or ENCODING:"),
        (
            "fc1=Quantized:bits=8,of=Tensor(ranks=4)",
            r"encoding cannot be 'Tensor'; did you mean TensorTrain\?",
        ),
        (
            "fc1=Quantized:bits=8,of=LowRank(ranks=4)",
            "LowRank: unknown 'ranks'",
        ),
        ("fc1=Quantized:bits=8,of=LowRank(4)", "option=value"),
        ("fc1=Quantized:bits=8,of=LowRank", "LowRank needs rank"),
        ("fc1=ADTN:depth=LowRank(rank=2)", "option=value"),
    ],
)
def test_encodings_that_are_none_are_an_error_of_usage(text, says, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["train", "fc2", "--encode", text])
    assert caught.value.code == 2
    error = " ".join(capsys.readouterr().err.split())
    assert re.search(says, error) and "Traceback" not in error and not Path("runs").exists()


@pytest.mark.parametrize("value", ["LowRank:rank=9999", "ADTN:order=sideways", "Tucker:ranks=2"])
def test_options_that_do_not_fit_the_layer_are_refused_before_training(value, tiny, capsys):
    assert main(["train", "fc2", "--data", tiny, "--encode", f"fc1={value}"]) == 2
    assert capsys.readouterr().err.startswith("error: fc1")
    assert not Path("runs").exists()


def test_training_with_encodings_resumes_and_reports(tiny, capsys):
    encode = ["--encode", "fc1=TensorTrain:ranks=3", "fc2=LowRank:rank=2"]
    text = output(capsys, "train", "fc2", "--data", tiny, "--epochs", "1", "--quiet", *encode)
    best = "runs/train/best.npz"
    assert next_of(text) == ["evaluate", best]
    assert ta.load(best).fc1.weight.ranks == (3, 3)
    assert next_of(output(capsys, "report", best)) == ["evaluate", best]
    assert read_state(best)[1]["data"]["name"] == tiny


# --- your own network and encoding ---------------------------------------------------------------


@pytest.fixture
def parts(in_a_folder_of_its_own):
    """The module of the guide, with the network parts:two_layers and the encoding parts:Hashed."""
    guide = docs_pages.ROOT / "docs" / "sweeps.md"
    code = next(code for code in docs_pages.blocks(guide, "python") if "class Hashed" in code)
    Path("parts.py").write_text(code)
    yield
    sys.modules.pop("parts", None)


ENCODE = ["--encode", "fc1=parts:Hashed:size=50", "fc2=1"]


@pytest.mark.parametrize(
    ("network", "words"),
    [
        ("parts:two_layers", ENCODE),
        ("parts:two_layers", []),
        ("fc2", ["--widths", "9", *ENCODE]),
    ],
)
def test_own_networks_and_encodings_are_trained_evaluated_and_resumed(
    network, words, parts, tiny, capsys
):
    train = ["train", network, "--data", tiny, "--quiet", *words]
    said = next_of(output(capsys, *train, "--epochs", "1", "--learning-rate", "0.01"))
    assert said == ["evaluate", "runs/train/best.npz", "--network", network, *words]
    first = output(capsys, *said)
    assert "accuracy" in first
    resumed = output(capsys, *train, "--resume", "runs/train/last.npz")
    assert next_of(resumed) == said and output(capsys, *said) == first
    assert main(["evaluate", "runs/train/best.npz"]) == 4
    assert "ta.load(path, into=model)" in capsys.readouterr().err


def test_evaluate_says_that_encoded_layers_need_their_option(parts, tiny, capsys):
    words = ["--data", tiny, "--quiet", "--epochs", "1", *ENCODE]
    output(capsys, "train", "parts:two_layers", *words)
    evaluate = ["evaluate", "runs/train/best.npz", "--network", "parts:two_layers"]
    assert main(evaluate) == 4
    assert "if layers are encoded, add --encode as for train" in capsys.readouterr().err
    assert main([*evaluate, "--encode", "fc1=1"]) == 4
    assert "add --encode" not in capsys.readouterr().err


def test_compress_takes_an_own_network(parts, tiny, capsys):
    compress = ["compress", "parts:two_layers", "--data", tiny, "--quiet", "--epochs", "1"]
    short = ["--dense-epochs", "1", "--fit-steps", "1", *ENCODE]
    said = next_of(output(capsys, *compress, *short))
    small = "runs/compress-parts-two_layers/fine-tuned.npz"
    assert said == ["evaluate", small, "--network", "parts:two_layers", *ENCODE]
    output(capsys, *said)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["fc3"], "or module:name, got 'fc3'; did you mean fc2?"),
        (["parts:three_layers"], "module 'parts' has no attribute 'three_layers'"),
        (["parts:two_layer"], "did you mean two_layers?"),
        (["parts:focal"], "does not take num_classes"),
        (["parts:two_layers", "--widths", "3"], "--widths is for the networks of ta.models"),
        (["fc2", "--encode", "fc1=parts:Hashed"], "parts:Hashed needs size"),
        (["fc2", "--encode", "fc1=parts:Hashed:sise=3"], "unknown 'sise'; did you mean size?"),
        (["fc2", "--encode", "fc1=parts:focal"], "must be a subclass of ta.Encoding"),
    ],
)
def test_own_parts_that_are_none_are_an_error(words, says, parts, tiny, capsys):
    try:
        code = main(["train", *words, "--data", tiny])
    except SystemExit as end:
        code = end.code
    assert code == 2 and says in capsys.readouterr().err and not Path("runs").exists()


# --- what comes next -----------------------------------------------------------------------------


def test_every_command_says_what_comes_next_and_that_works(tiny, capsys):
    short = ["--epochs", "1", "--quiet"]
    assert next_of(output(capsys, "data", "list")) == ["data", "show", "mnist-5k"]
    assert next_of(output(capsys, "data", "get", "mnist-5k")) == ["data", "show", "mnist-5k"]
    words = next_of(output(capsys, "train", "fc2", "--data", tiny, *short))
    report = next_of(output(capsys, *words))
    compress = next_of(output(capsys, *report))
    assert compress == ["compress", "fc2", "--dense", "runs/train/best.npz", "--data", tiny]
    text = output(capsys, *compress, *short, "--dense-epochs", "1", "--fit-steps", "1")
    small = "runs/compress-fc2/fine-tuned.npz"
    assert f"Next: tinyadtn predict runs/compress-fc2/digit-*.png --model {small}" in text
    words = next_of(output(capsys, "predict", "runs/compress-fc2/digit-0.png", "--model", small))
    draw = next_of(output(capsys, *words))
    assert draw == ["draw", small]
    assert next_of(output(capsys, *draw)) == ["evaluate", small]
    made = output(capsys, "features", "runs/train/best.npz", "--before", "fc2", "--out", "f.npz")
    head = next_of(made)
    output(capsys, *head, *short, "--out", "head")
    assert read_state("head/best.npz")[1]["data"]["name"] == "f.npz"


def test_a_sweep_says_what_comes_next(tiny, capsys):
    Path("s.toml").write_text(
        f'data = "{tiny}"\nnetwork = "fc2"\nepochs = 1\nseeds = 1\n[rows.dense]\n'
        "learning_rate = 1e-3\n"
    )
    words = next_of(output(capsys, "sweep", "s.toml", "--dry-run"))
    assert words == ["sweep", "s.toml"]
    words = next_of(output(capsys, *words, "--quiet", "--workers", "1"))
    assert words == ["sweep", "s.toml", "--workers", "1", "--table", "--plot", "s.png"]
    assert "Next" not in output(capsys, *words)


def test_pictures_in_any_format_are_predicted_in_colour(pets, capsys):
    output(capsys, "train", "fc2", "--data", pets, "--epochs", "8", "--quiet")
    image = np.zeros((40, 60, 3), np.uint8)
    image[:, :, 1] = 255  # cats are green: NAMES[1]
    Image.fromarray(image).save("photo.jpg")
    text = output(capsys, "predict", "photo.jpg", "--model", "runs/train/best.npz")
    assert text.startswith("photo.jpg: cat\n")


def test_own_grey_pictures_are_predicted_as_they_were_imported(capsys):
    """Half of a picture is dark: the upper or the lower. Cut to the ink, both would look alike."""
    rng = np.random.default_rng(0)
    for name, dark in (("sea", slice(12, None)), ("sky", slice(0, 12))):
        folder = Path("half", name)
        folder.mkdir(parents=True)
        for k in range(24):
            pixels = np.uint8(220 + rng.integers(-20, 20, (24, 30)))
            pixels[dark] -= 150
            Image.fromarray(pixels).save(folder / f"{k}.png")
    output(capsys, "data", "import", "half", "--size", "12", "--out", "half.npz")
    output(capsys, "train", "fc2", "--data", "half.npz", "--epochs", "60", "--quiet")
    for name in ("sea", "sky"):
        picture = f"half/{name}/0.png"
        text = output(capsys, "predict", picture, "--model", "runs/train/best.npz")
        assert text.startswith(f"{picture}: {name}\n")
        images = ta.load_data("half", size=12)
        read = read_picture(picture, 12, 1)
        assert any((read == image).all() for s in ("train", "validation", "test")
                   for image in getattr(images, s).images)  # fmt: skip


def test_ink_is_for_grey_networks(pets, capsys):
    output(capsys, "train", "fc2", "--data", pets, "--epochs", "1", "--quiet")
    assert main(["predict", "pets/cat/001.png", "--model", "runs/train/best.npz", "--ink"]) == 2
    assert "takes colour" in capsys.readouterr().err


def test_evaluate_refuses_data_with_other_classes(capsys):
    images, labels = some(36)
    np.savez("pets.npz", x=images, y=NAMES[labels])
    np.savez("cars.npz", x=images, y=np.array(["bus", "car", "van"])[labels])
    np.savez("numbers.npz", x=images, y=labels)
    output(capsys, "train", "fc2", "--data", "pets.npz", "--epochs", "1", "--quiet")
    for other, classes in (("cars.npz", "bus, car, van"), ("numbers.npz", "0, 1, 2")):
        assert main(["evaluate", "runs/train/best.npz", "--data", other]) == 3
        error = capsys.readouterr().err
        assert "trained on the classes cat, dog, hen" in error
        assert f"{other} has the classes {classes};" in error
    output(capsys, "evaluate", "runs/train/best.npz", "--data", "pets.npz")


def test_a_file_of_images_is_not_a_network(capsys):
    ta.save_data("own.npz", ta.load_data(some(36)))
    says = "own.npz: holds images, not a network; give it with --data"
    for words in (["evaluate", "own.npz"], ["report", "own.npz"], ["draw", "own.npz"],
                  ["predict", "any.png", "--model", "own.npz"],
                  ["train", "fc2", "--resume", "own.npz"]):  # fmt: skip
        assert main(words) == 4
        assert says in capsys.readouterr().err
    with pytest.raises(ta.errors.CheckpointError, match=says):
        ta.load("own.npz")


@pytest.mark.parametrize(("epochs", "is_few"), [("33", True), ("34", False)])
def test_few_steps_of_training_are_pointed_out(epochs, is_few, capsys):
    np.savez("own.npz", x=some(360)[0], y=some(360)[1])  # 275 to train on, 3 steps an epoch
    text = output(capsys, "train", "fc2", "--data", "own.npz", "--epochs", epochs, "--quiet")
    lines = [line for line in text.splitlines() if "--batch-size" in line and "--epochs" in line]
    assert [line.split()[0] for line in lines] == (["99"] if is_few else [])
    again = output(capsys, "train", "fc2", "--resume", "runs/train/last.npz", "--quiet")
    assert "steps are few" not in again  # its number of epochs is fixed


def test_evaluate_takes_fewer_classes_if_none_has_a_name(tiny, capsys):
    output(capsys, "train", "fc2", "--data", tiny, "--epochs", "1", "--quiet")
    images, labels = some(36, (28, 28))
    np.savez("three.npz", x=images, y=labels)
    words = ["evaluate", "runs/train/best.npz", "--data", "three.npz"]
    assert "accuracy" in output(capsys, *words)


def test_data_that_have_changed_since_the_training_are_named(pets, capsys):
    """A name alone would give results on other images, and nobody would notice."""
    images, labels = some(90, (8, 8))
    np.savez("own.npz", x=images, y=labels)
    output(capsys, "train", "fc2", "--data", "own.npz", "--epochs", "1", "--quiet")
    output(capsys, "evaluate", "runs/train/last.npz")
    np.savez("own.npz", x=images ^ 1, y=labels)
    assert main(["evaluate", "runs/train/last.npz"]) == 3
    message = capsys.readouterr().err
    assert "own.npz has changed since runs/train/last.npz was trained on it" in message
    assert message.rstrip().endswith("to use it as it is now, add --data own.npz")
    output(capsys, "evaluate", "runs/train/last.npz", "--data", "own.npz")
