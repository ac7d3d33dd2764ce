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


EARLIER = {"fc1_mnist", "fc1_deep", "fc1_short", "cifar10"}  # together on one page
EXAMPLE = {"fc1_mnist-5k"}  # in the guide: docs/sweeps.md
DIVERGENCE = {f"{name}_stability" for name in ("fc1", "lenet5", "conv2", "factored")}
NORMALIZED = {"fc1_normalized_rates", "fc1_normalized_fit"}  # on the page of fc1_normalized
RESULTS = results_page.ROOT / "data" / "results"


def test_every_study_has_its_page():
    studies = (
        {path.stem for path in RESULTS.glob("*.jsonl")}
        - EARLIER
        - EXAMPLE
        - DIVERGENCE
        - NORMALIZED
    )
    for name in studies:
        page = (RESULTS / f"{name}.md").read_text(encoding="utf-8")
        assert f"tinyadtn sweep data/results/{name}.toml --table" in page
        assert "**Question.**" in page
    pages = {"earlier": EARLIER, "collapse": DIVERGENCE, "fc1_normalized": NORMALIZED}
    for page, together in pages.items():
        text = (RESULTS / f"{page}.md").read_text(encoding="utf-8")
        assert all(f"{name}.toml" in text for name in together)


def test_the_summary_leads_to_every_page():
    summary = (RESULTS / "README.md").read_text(encoding="utf-8")
    others = {path.name for path in results_page.PAGES} - {"README.md"}
    assert others <= set(re.findall(r"\]\((\w+\.md)\)", summary))


def test_every_mean_that_a_text_names_stands_in_a_table():
    """With its spread, as in "97.94 ± 0.08", or rounded further; of a page, in its own table."""
    everywhere = set(means(TEXT))
    assert len(everywhere) > 100
    texts = {path: path.read_text(encoding="utf-8") for path in results_page.PAGES}
    readme = results_page.ROOT / "README.md"
    named = 0
    for path, text in (texts | {readme: readme.read_text(encoding="utf-8")}).items():
        tables = " ".join(found[0] for found in results_page.MARKED.finditer(text))
        measured = set(means(tables)) if tables else everywhere
        for pair in means(results_page.MARKED.sub("", text)):
            named += 1
            assert any(rounds_to(pair, other) for other in measured), (path.name, pair)
    assert named > 15


def test_the_diverged_runs_that_a_text_names_are_those_of_the_table():
    totals = {"plain": [0, 0], "normalized": [0, 0]}
    table = results_page.printed("python tests/bench/collapse.py --table")
    for kind, *counts in re.findall(r"(plain|normalized) \| (\d+) of (\d+)", table):
        totals[kind] = [sum(pair) for pair in zip(totals[kind], map(int, counts))]
        assert " of ".join(counts) in (RESULTS / "README.md").read_text(encoding="utf-8")
    (diverged, plain), (others, normalized) = totals.values()
    readme = (results_page.ROOT / "README.md").read_text(encoding="utf-8")
    assert f"{diverged} of {plain}\n" in readme and f"{others} of {normalized} with" in readme
    faq = (results_page.ROOT / "docs" / "faq.md").read_text(encoding="utf-8")
    assert f"no weight vanished in {normalized} short runs" in faq
    assert f"{others} of {normalized} runs diverged" in TEXT


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
