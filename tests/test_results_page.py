"""The page of results holds what its commands print, and the command that writes it does so."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "bench"))

import results_page

PAGE = results_page.PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("command", results_page.commands(PAGE))
def test_a_table_of_the_page_is_what_its_command_prints(command):
    assert f"<!-- {command} -->\n\n{results_page.printed(command).strip()}\n\n<!-- end -->" in PAGE


def test_every_study_with_results_is_on_the_page():
    for path in results_page.PAGE.parent.glob("*.jsonl"):
        assert f"{path.stem}.toml" in PAGE, path


def test_only_what_stands_between_the_marks_is_written(monkeypatch):
    monkeypatch.setattr(results_page, "printed", lambda command: f"{command.upper()}\n")
    page = "a\n<!-- tinyadtn x -->\nold\n<!-- end -->\nb <!-- python y.py -->\n\n<!-- end -->"
    made = results_page.made(page)
    assert made == (
        "a\n<!-- tinyadtn x -->\n\nTINYADTN X\n\n<!-- end -->\n"
        "b <!-- python y.py -->\n\nPYTHON Y.PY\n\n<!-- end -->"
    )
    assert results_page.commands(page) == ["tinyadtn x", "python y.py"]
    assert results_page.made(made) == made


def test_a_command_that_fails_is_named():
    with pytest.raises(SystemExit, match=r"sweep nothing.toml --table: .*nothing.toml"):
        results_page.printed("tinyadtn sweep nothing.toml --table")
