"""The file of results: appended whole, held by one, repaired after a kill, refused if strange."""

import contextlib
import errno
import json
import os
import shutil
from pathlib import Path

import pytest

from tinyadtn.errors import TinyADTNError
from tinyadtn.studies.results import ResultsFile, read_records
from tinyadtn.studies.spec import read_spec


def record(seed, **more):
    return {
        "row": "a",
        "label": "a",
        "config": {"epochs": 1},
        "seed": seed,
        "status": "done",
        "stored": {"fc1": 436},
        "encoded": ["fc1"],
        "model": 3262,
        "validation": 0.9,
        "test": 0.8,
        **more,
    }


def without(name):
    return {key: value for key, value in record(0).items() if key != name}


def number(digits):
    """A record whose configuration has a whole number that no float holds."""
    return json.dumps(record(0)).replace('"epochs": 1', f'"learning_rate": 1{"0" * digits}')


@pytest.fixture
def path(tmp_path):
    return tmp_path / "below" / "results.jsonl"


def written(path, *records):
    with ResultsFile(path) as file:
        for each in records:
            file.append(each)
    return path


def test_what_is_appended_is_read_back(path):
    written(path, record(0), record(1))
    written(path, record(2))
    assert list(read_records(path).values()) == [record(0), record(1), record(2)]
    assert len(path.read_text().splitlines()) == 3


def test_of_two_lines_of_one_run_the_later_counts(path):
    written(path, record(0, status="failed", error="why"), record(0, test=0.5))
    assert list(read_records(path).values()) == [record(0, test=0.5)]


def test_a_second_writer_is_refused_while_there_is_a_first(path):
    with ResultsFile(path) as first:
        with pytest.raises(TinyADTNError, match="another sweep is writing"), ResultsFile(path):
            pass
        first.append(record(0))
        assert len(read_records(path)) == 1  # but anyone may read
    with ResultsFile(path) as again:
        assert len(again.records) == 1 and not again.repaired


@pytest.mark.parametrize("left", [1, 5, 9, 20, -1])
def test_a_torn_last_line_is_cut_off_and_said(path, left):
    before = written(path, record(0)).read_bytes()
    torn = json.dumps(record(1)).encode()[:left]
    path.write_bytes(before + torn)
    assert list(read_records(path).values()) == [record(0)]  # reading repairs nothing
    assert path.read_bytes() == before + torn
    with ResultsFile(path) as file:
        assert f"{len(torn)} bytes are removed" in file.repaired
        assert path.read_bytes() == before
        file.append(record(1))
    assert list(read_records(path).values()) == [record(0), record(1)]


def test_a_whole_last_line_without_its_end_is_kept(path):
    written(path, record(0))
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    written(path, record(1))
    assert list(read_records(path).values()) == [record(0), record(1)]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("my notes", 1),  # one line without an end is not taken for a torn one
        ('{"row": "a"}\n', 1),
        ('{"row": "a"}', 1),
        ("[1, 2]\n", 1),
        ("\n", 1),
        (json.dumps(record(0)) + "\n" + json.dumps(record(1))[:50] + "\n", 2),
        (json.dumps(record(0)) + "\n" + '{"row": "a", \n' + json.dumps(record(1)) + "\n", 2),
    ],
)
def test_another_file_is_refused_and_left_alone(tmp_path, content, line):
    path = tmp_path / "file"
    path.write_text(content)
    with (
        pytest.raises(TinyADTNError, match=f"line {line}: no result of a sweep"),
        ResultsFile(path),
    ):
        pass
    assert path.read_text() == content
    with pytest.raises(TinyADTNError, match="no result of a sweep"):
        read_records(path)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        *((without(name), f"{name} must be of type") for name in record(0) if name != "label"),
        (record(0, test=None), "test must be of type float, got None"),
        (record(0, test="x"), "test must be"),
        (record(0, stored=[1]), "stored must be"),
        (record(0, encoded="fc1"), "encoded must be"),
        (record(0, model=True), "model must be of type int, got True"),
        (record(0, row=3), "row must be"),
        (record("x"), "seed must be"),
        (record(0, config=[]), "config must be"),
        (record(0, status=["done"]), "status must be"),
        (record(0, status="failed"), "error must be of type str, got None"),
        ("[" * 100_000, "nested"),
        ('{"row": "a", "config": ' + '{"a":' * 100_000, "nested"),
        (number(5000), "digits"),
        ([], "a table"),
    ],
)
@pytest.mark.parametrize("end", ["", "\n"])
def test_a_line_that_is_no_record_is_refused_with_its_number(tmp_path, line, why, end):
    path = tmp_path / "results.jsonl"
    text = line if isinstance(line, str) else json.dumps(line)
    path.write_text(json.dumps(record(1)) + "\n" + text + (end or "\n" + json.dumps(record(2))))
    with pytest.raises(TinyADTNError) as refusal:
        read_records(path)
    assert f"{path}, line 2: no result of a sweep" in str(refusal.value)
    assert why in str(refusal.value) and len(str(refusal.value)) < 1000


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes with names")
def test_what_has_no_end_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero", "/dev/null"):
        with pytest.raises(TinyADTNError, match=f"{path}: is no ordinary file"):
            read_records(path)
        with pytest.raises(TinyADTNError, match=f"{path}: is no ordinary file"):
            written(Path(path))


def test_a_number_that_no_float_holds_keeps_its_place(tmp_path):
    path = tmp_path / "results.jsonl"
    path.write_text(number(400) + "\n")
    assert len(read_records(path)) == 1  # no spec can ask for it


def test_a_full_disk_leaves_no_half_line(path, monkeypatch):
    def full(file, line):
        os.pwrite(file, line[:7], os.fstat(file).st_size)
        raise OSError(errno.ENOSPC, "No space left on device")

    written(path, record(0))
    with ResultsFile(path) as file:
        monkeypatch.setattr("tinyadtn.studies.results.os.write", full)
        with pytest.raises(OSError, match="No space") as error:
            file.append(record(1))
        monkeypatch.undo()
        assert error.value.filename == str(path)
        assert list(file.records.values()) == [record(0)]
    assert list(read_records(path).values()) == [record(0)]
    assert path.read_bytes().endswith(b"}\n")


def test_numbers_that_json_lacks_are_refused(path):
    with ResultsFile(path) as file, pytest.raises(ValueError, match="JSON"):
        file.append(record(0, test=float("nan")))


def test_a_record_older_than_an_option_is_still_that_run(path):
    (run,) = read_spec({"network": "fc2", "rows": {"a": {"encode": {"fc1": 2}}}}).runs
    old = json.loads(json.dumps(run.config))
    del old["encode"]["fc1"]["start"], old["augment"], old["drop_last"]
    written(path, {**record(0), "config": old})
    assert list(read_records(path)) == [run.key]
    old["encode"]["fc1"]["forgotten"] = 1  # what no spec can ask for stays by itself
    written(path, {**record(0), "config": old})
    assert len(read_records(path)) == 2


# --- changed by others while a sweep writes ------------------------------------------------------


def by_rename(path, content):
    """As an editor, git or rsync does it."""
    other = path.with_name("other")
    other.write_bytes(content)
    other.replace(path)


def in_place(path, content):
    path.write_bytes(content)


def removed(path, content):
    path.unlink()


def folder_removed(path, content):
    shutil.rmtree(path.parent)


@pytest.mark.parametrize("change", [by_rename, in_place, removed, folder_removed])
@pytest.mark.parametrize("last", [False, True], ids=["in the middle", "after the last line"])
def test_a_file_that_is_replaced_has_every_result_in_the_end(path, change, last, capsys):
    before = written(path, record(0)).read_bytes()
    with ResultsFile(path) as file:
        file.append(record(1))
        file.append(record(2))
        change(path, before)
        if not last:
            file.append(record(3))
    expected = [record(seed) for seed in range(3 if last else 4)]
    assert sorted(read_records(path).values(), key=lambda r: r["seed"]) == expected
    assert len(path.read_text().splitlines()) == len(expected)
    assert sorted(file.records) == sorted(read_records(path))
    assert f"{path}: was changed" in capsys.readouterr().out


def test_a_file_that_others_append_to_or_touch_is_gone_on_with(path, capsys):
    written(path, record(0))
    with ResultsFile(path) as file:
        with path.open("ab") as other:
            other.write(json.dumps(record(7)).encode() + b"\n")
        file.append(record(1))
        os.utime(path, (1, 1))
        file.append(record(2))
    assert [r["seed"] for r in read_records(path).values()] == [0, 7, 1, 2]
    assert len(file.records) == 4


def test_of_a_run_in_both_files_the_result_that_was_done_here_counts(path):
    old = written(path, record(0, status="failed", error="why"), record(1)).read_bytes()
    with ResultsFile(path) as file:
        file.append(record(0, test=0.5))
        by_rename(path, old.replace(b'"test": 0.8', b'"test": 0.25'))
        file.append(record(2))
    found = {r["seed"]: r.get("test") for r in read_records(path).values()}
    assert found == {0: 0.5, 1: 0.25, 2: 0.8}


def test_a_torn_line_of_the_other_file_is_cut_off(path):
    before = written(path, record(0)).read_bytes()
    with ResultsFile(path) as file:
        by_rename(path, before + before[:50])
        file.append(record(1))
    assert [r["seed"] for r in read_records(path).values()] == [0, 1]


@pytest.mark.parametrize("what", ["notes", "folder", "held", "pipe"])
def test_in_the_place_of_a_file_that_cannot_be_used_all_results_are_kept_beside_it(path, what):
    written(path, record(0))
    file = ResultsFile(path)
    with pytest.raises(TinyADTNError, match="All results are in"), contextlib.ExitStack() as stack:
        stack.enter_context(file)
        file.append(record(1))
        path.unlink()
        if what == "notes":
            path.write_text("my notes")
        elif what == "folder":
            path.mkdir()
        elif what == "pipe":
            os.mkfifo(path)
        else:
            stack.enter_context(ResultsFile(path))
        file.append(record(2))
    (kept,) = path.parent.glob("*.kept")
    assert [r["seed"] for r in read_records(kept).values()] == [0, 1, 2]
    assert what != "notes" or path.read_text() == "my notes"
