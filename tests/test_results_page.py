"""The pages of results hold what their commands print, and the command that writes them does so."""

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "bench"))

import results_page

TEXT = "\n".join(path.read_text(encoding="utf-8") for path in results_page.PAGES)


@pytest.mark.parametrize("command", results_page.commands(TEXT))
def test_a_table_of_a_page_is_what_its_command_prints(command):
    assert f"<!-- {command} -->\n\n{results_page.printed(command).strip()}\n\n<!-- end -->" in TEXT


def test_every_picture_of_the_pages_is_drawn_by_a_line_of_them():
    shown = set(re.findall(r"\]\((\w+\.png)\)", TEXT))
    drawn = {line.rsplit("/", 1)[1] for line in results_page.DRAWN.findall(TEXT)}
    assert shown and shown == drawn


def test_every_study_with_results_is_on_a_page():
    for path in (results_page.ROOT / "data" / "results").glob("*.jsonl"):
        assert f"{path.stem}.toml" in TEXT, path


def test_every_mean_that_the_text_names_stands_in_a_table():
    """With its spread, as in "97.94 ± 0.08", or rounded further."""
    measured = set(means(" ".join(found[0] for found in results_page.MARKED.finditer(TEXT))))
    readme = (results_page.ROOT / "README.md").read_text(encoding="utf-8")
    in_short = readme.split("## Reproduction\n")[1].split("\n## ")[0]
    named = means(results_page.MARKED.sub("", TEXT) + in_short)
    assert len(measured) > 100 and len(named) > 50
    lost = [pair for pair in named if not any(rounds_to(pair, other) for other in measured)]
    assert not lost


def means(text: str) -> list[tuple[str, str]]:
    return re.findall(r"(\d+\.\d+)\s+±\s+(\d+\.\d+)", text)


def rounds_to(shown: tuple[str, str], measured: tuple[str, str]) -> bool:
    digits = len(shown[0].split(".")[1])
    half = 0.5 * 10.0**-digits + 1e-9
    return all(abs(float(a) - float(b)) <= half for a, b in zip(shown, measured))


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
