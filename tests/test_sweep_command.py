"""`tinyadtn sweep`: what it lists, does, tells and refuses, and how it goes on."""

import json
import re
import shlex
import sys

import pytest

from tinyadtn.cli.main import main
from tinyadtn.studies.results import ResultsFile


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def study(tiny, tmp_path):
    """A spec with one row that fails."""
    path = tmp_path / "study.toml"
    path.write_text(
        f"network = 'fc2'\ndata = {tiny!r}\nepochs = 1\nbatch_size = 50\nseeds = 2\n"
        "[rows.dense]\n[rows.adtn]\nencode.fc1 = {each = [1, 2]}\n"
        "[rows.wild]\nlearning_rate = 1e30\nseeds = 1\n"
    )
    return str(path)


def test_sweep_lists_does_tells_and_goes_on(study, tmp_path, capsys):
    assert main(["sweep", study, "--dry-run"]) == 0
    listed = capsys.readouterr().out
    assert f"{study}: 7 runs in 4 rows, 0 done; results in" in listed
    assert "adtn fc1=2     2     0      436        3,262    3,262" in listed
    assert not (tmp_path / "study.jsonl").exists()
    assert main(["sweep", study, "--table"]) == 2
    assert "holds no run" in capsys.readouterr().err

    part = ["sweep", study, "--rows", "adtn", "--workers", "2", "--quiet"]
    assert main(part) == 0
    assert "4 runs in 2 rows, 0 done" in capsys.readouterr().out
    assert main(["sweep", study, "--workers", "1", "--quiet"]) == 1  # one row fails
    told = capsys.readouterr().out
    assert "7 runs in 4 rows, 4 done" in told and "±" in told
    assert "failed: wild, seed 0: NonFiniteError: epoch 1" in told
    assert "called at" not in told and ".py" not in told  # no line of yours made it
    assert f"sweep {shlex.quote(study)} --workers 1 --retry-failed" in told
    assert len((tmp_path / "study.jsonl").read_text().splitlines()) == 7
    assert main(["sweep", study, "--dry-run"]) == 0
    assert "7 runs in 4 rows, 6 done, 1 failed; results" in capsys.readouterr().out

    assert main([*part, "--table"]) == 0
    table = capsys.readouterr().out
    assert "adtn fc1=1" in table and "dense" not in table
    assert main([*part, "--plot", "picture.png"]) == 0
    assert table in capsys.readouterr().out
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_sweep_shows_only_the_best_rate_of_a_row(tiny, tmp_path, capsys):
    path = tmp_path / "rates.toml"
    path.write_text(
        f"network = 'fc2'\ndata = {tiny!r}\nepochs = 1\nbatch_size = 50\n"
        "[rows.dense]\nlearning_rate = {each = [1e-9, 5e-3]}\n"
    )
    assert main(["sweep", str(path), "--best", "--workers", "1", "--quiet"]) == 0
    told = capsys.readouterr().out
    assert "learning rate" in told and "0.005 of 1e-09 (1, 1 near chance), 0.005" in told
    assert main(["sweep", str(path), "--table", "--best"]) == 0
    table = capsys.readouterr().out
    assert f"\n{table}\nNext: " in told and len(table.splitlines()) == 2
    assert main(["sweep", str(path), "--table"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_what_is_left_is_asked_for_with_the_same_table(study, capsys):
    asked = ["--rows", "adtn", "wild", "--markdown", "--pivot", "fc1", "--split", "validation"]
    assert main(["sweep", study, *asked, "--digits", "0", "--workers", "1", "--quiet"]) == 1
    told = capsys.readouterr().out
    assert "|  | fc1 1 | fc1 2 | – |" in told
    left = "--markdown --pivot fc1 --split validation --digits 0 --retry-failed"
    assert told.strip().endswith(left)


def test_a_sweep_on_the_gpu_goes_on_there(study, cuda, monkeypatch, capsys):
    def stopped(*_, device, **__):
        assert device == "cuda"
        raise KeyboardInterrupt

    monkeypatch.setattr("tinyadtn.cli.sweep_command.sweep", stopped)
    assert main(["sweep", study, "--device", "cuda", "--best", "--quiet"]) == 130
    assert capsys.readouterr().out.endswith(f"sweep {shlex.quote(study)} --device cuda --best\n")


def test_without_cupy_the_device_is_refused_before_the_headline(study, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert main(["sweep", study, "--device", "cuda"]) == 2
    printed = capsys.readouterr()
    assert printed.err == 'error: device "cuda" needs CuPy: pip install cupy-cuda12x\n'
    assert printed.out == ""


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["sweep", "nowhere.toml"], 7, "nowhere.toml: no such file"),
        (["sweep", "empty.toml"], 2, "empty.toml: a sweep of 0 runs"),
        (["sweep", "bad.toml"], 2, "bad.toml: a: no layer matches 'fc9'"),
        (["sweep", "good.toml", "--out", "good.toml"], 2, "line 1: no result of a sweep"),
        (["sweep", "good.toml", "--table"], 2, "first do some, without --table"),
        (["sweep", "good.toml", "--plot", "new.png"], 2, "first do some, without --plot"),
        (["sweep", "good.toml", "--table", "--plot", "good.toml"], 2, "a picture is a file"),
        (["sweep", "good.toml", "--plot", "good.jsonl"], 2, "a picture is a file"),
        (["sweep", "good.toml", "--plot", "no_suffix"], 2, "a picture is a file"),
        (["sweep", "good.toml", "--out", "r.png", "--plot", "x/../r.png"], 2, "would replace"),
        (["sweep", "spec.png", "--plot", "link.png"], 2, "would replace its source spec.png"),
        (["sweep", "good.toml", "--split", "validation"], 2, "--split goes with --pivot"),
        (["sweep", "good.toml", "--pivot", "depht"], 2, "--pivot depht: no two of its rows"),
        (["sweep", "good.toml", "--executor", "ray://host"], 2, "an executor is dask://HOST:PORT"),
        (
            ["sweep", "good.toml", "--executor", "dask://h:1", "--workers", "2"],
            2,
            "an executor has workers of its own",
        ),
    ],
)
def test_sweep_refuses_in_one_line(arguments, code, words, tmp_path, capsys):
    (tmp_path / "empty.toml").write_text("network = 'fc2'\n")
    (tmp_path / "bad.toml").write_text("network = 'fc2'\n[rows.a]\nencode.fc9 = 1\n")
    (tmp_path / "good.toml").write_text("network = 'fc2'\n[rows.a]\n")
    (tmp_path / "spec.png").write_text("network = 'fc2'\n[rows.a]\n")
    (tmp_path / "link.png").symlink_to("spec.png")
    before = {path: path.read_text() for path in tmp_path.iterdir()}
    assert main(arguments) == code
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ") and words in error and "\n" not in error
    assert {path: path.read_text() for path in tmp_path.iterdir()} == before


def test_the_help_names_the_options_that_do_no_runs(capsys):
    with pytest.raises(SystemExit):
        main(["sweep", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert re.search(r"--table show the existing results without doing runs", text)
    assert re.search(r"--plot FILE plot the existing results [^-]+ without doing runs", text)


def test_a_picture_of_something_else_is_replaced_only_on_request(tiny, tmp_path, capsys):
    (tmp_path / "study.toml").write_text(
        f"network = 'fc2'\ndata = {tiny!r}\nepochs = 0\n[rows.a]\n"
    )
    (tmp_path / "other.png").write_bytes(b"another picture")
    assert main(["sweep", "study.toml", "--workers", "1", "--quiet"]) == 0
    plot = ["sweep", "study.toml", "--plot"]
    assert main([*plot, "other.png"]) == 2
    assert "other.png is there already; name another" in capsys.readouterr().err
    assert (tmp_path / "other.png").read_bytes() == b"another picture"
    for _ in range(2):  # the picture named as the results is this sweep's own
        assert main([*plot, "study.png"]) == 0
    assert main([*plot, "other.png", "--overwrite"]) == 0
    assert main([*plot, "new/picture.png"]) == 0
    for name in ("study.png", "other.png", "new/picture.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert main([*plot, "study.png", "--out", "second.jsonl"]) == 2, "results of another file"


@pytest.mark.parametrize("bad", ["", "a\0b"])
@pytest.mark.parametrize("place", ["spec", "--out", "--plot"])
def test_a_path_that_is_none_is_refused_before_a_run(place, bad, tmp_path, capsys):
    (tmp_path / "good.toml").write_text("network = 'fc2'\n[rows.a]\n")
    words = [bad] if place == "spec" else ["good.toml", place, bad]
    with pytest.raises(SystemExit) as end:
        main(["sweep", *words])
    assert end.value.code == 2
    assert f"expected a file, a folder or a name, got {bad!r}" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["good.toml"]


def test_sweep_without_dask_says_how_to_get_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "distributed", None)
    (tmp_path / "good.toml").write_text("network = 'fc2'\n[rows.a]\n")
    assert main(["sweep", "good.toml", "--executor", "dask://host:8786"]) == 2
    assert "pip install 'dask[distributed]'" in capsys.readouterr().err


# --- what is shown, whatever the names are -------------------------------------------------------

FORGED = "a\x1b[2J\nfailed: none, all is well\u202e"


def test_no_name_of_a_row_and_no_error_commands_the_terminal_or_adds_a_line(tiny, tmp_path, capsys):
    """Rows, layers, values of each, what is counted, and the error in a file of results."""
    path = tmp_path / "study.toml"
    name = json.dumps(FORGED)
    (tmp_path / FORGED.replace("\n", "")).mkdir()
    path.write_text(
        f"network = 'fc2'\nepochs = 0\ndata = {json.dumps(tiny)}\n"
        f"[rows.{name}]\nencode.fc1 = {{each = [1, 2]}}\n[rows.b]\nlearning_rate = 1\n"
    )
    commands = [[], ["--table"], ["--dry-run"], ["--table", "--best"], ["--table", "--markdown"],
                ["--table", "--pivot", "fc1"], ["--table", "--plot", "p.png"]]  # fmt: skip
    for more in commands:
        assert main(["sweep", str(path), *more, "--workers", "1"]) == 0
        told = capsys.readouterr()
        assert all(c.isprintable() or c == "\n" for c in told.out), more
        assert all(c.isprintable() or c in "\n\r" for c in told.err), more
        assert not any(line.startswith("failed") for line in told.out.splitlines())
    out = tmp_path / "study.jsonl"
    records = [json.loads(line) for line in out.read_text().splitlines()]
    records[0] |= {"status": "failed", "error": FORGED}
    out.write_text("".join(json.dumps(record) + "\n" for record in records))
    assert main(["sweep", str(path), "--table"]) == 1
    told = capsys.readouterr().out
    assert all(c.isprintable() or c == "\n" for c in told)
    assert sum(line.startswith("failed") for line in told.splitlines()) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        "[rows.{name}]\nepochs = -1",
        "[rows.{name}]\nencode.{name} = 1",
        "[rows.a]\nencode.fc1 = {{encoding = {name}}}",
        "[rows.a]\n{name} = 1",
        "[rows.a]\ndata = {{each = [{name}]}}",
        "[rows.a]\ndense = {name}",
        "[rows.a]\nfreeze = {name}",
        "count = [{name}]\n[rows.a]",
    ],
)
def test_no_error_commands_the_terminal(wrong, tmp_path, capsys):
    path = tmp_path / "study.toml"
    content = f"network = 'fc2'\n{wrong.format(name=json.dumps(FORGED))}\n"
    path.write_text(content.replace("network = 'fc2'\ncount", "network = 'fc2'\ncount"))
    assert main(["sweep", str(path), "--workers", "1"]) in (2, 3, 4)
    told = capsys.readouterr()
    assert told.out == "" and told.err.count("\n") == 1
    assert all(c.isprintable() or c == "\n" for c in told.err)


def test_a_stopped_sweep_is_gone_on_with_by_the_line_that_it_prints(study, monkeypatch, capsys):
    """Also where the shell would not take the words as they are."""
    monkeypatch.setattr(
        "tinyadtn.cli.sweep_command.sweep",
        lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt),
    )
    assert main(["sweep", study, "--out", "my\x1b[1m results", "--quiet"]) == 130
    told = capsys.readouterr().out
    assert all(c.isprintable() or c == "\n" for c in told)
    assert "--out $'\\x6d\\x79\\x1b" in told


def test_no_path_adds_a_line(tiny, tmp_path, capsys):
    (tmp_path / "a\nb.toml").write_text(f"network = 'fc2'\ndata = {tiny!r}\nepochs = 0\n[rows.a]\n")
    words = ["sweep", "a\nb.toml", "--out", "c\nd.jsonl"]
    assert main([*words, "--workers", "1", "--quiet"]) == 0
    first, *_ = capsys.readouterr().out.splitlines()
    assert first.startswith(r"a\nb.toml: 1 run") and first.endswith(r"c\nd.jsonl")
    assert main([*words, "--plot", "e\nf.png"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == r"e\nf.png"


def test_a_second_sweep_on_the_same_file_is_refused_at_once(study, tmp_path, capsys):
    with ResultsFile(tmp_path / "study.jsonl"):
        assert main(["sweep", study, "--workers", "1", "--quiet"]) == 2
    assert "another sweep is writing to it" in capsys.readouterr().err
