"""The course as web pages: formulas, pictures and code, and nothing that a network must bring."""

import base64
import re
import shutil
import sys

import nbformat
import pytest
from course_rules import NOTEBOOKS, SOURCES, cells_of

from tinyadtn.draw import style as draw_style

sys.path.insert(0, str(NOTEBOOKS))
import course

SOURCE = """\
# %% [markdown]
# # 07 A <title> & more?
#
# A formula $\\frac{1}{s}$, code `$x`, and

# %%
x = 1 < 2

# %% solution: one
x = 17

# %% [markdown]
# $$\\langle g,
# y\\rangle = 1$$
"""


@pytest.fixture
def page(tmp_path):
    source = tmp_path / "07_a.py"
    source.write_text(SOURCE, encoding="utf-8")
    figure = draw_style.new_figure(2.0, 1.0, 'A "picture" of <nothing>')
    png, metadata = figure._repr_png_()
    outputs = [
        nbformat.v4.new_output("stream", text="1 < 2"),
        nbformat.v4.new_output(
            "display_data",
            data={"image/png": base64.b64encode(png).decode(), "text/plain": "<Figure>"},
            metadata={"image/png": metadata},
        ),
        nbformat.v4.new_output("execute_result", data={"text/plain": "<x>"}, execution_count=1),
    ]
    cells = [nbformat.v4.new_code_cell("x = 1 < 2", outputs=outputs)]
    return course.render(source, nbformat.v4.new_notebook(cells=cells), 3.0, tmp_path)


def test_a_page_holds_everything_and_escapes_it(page, tmp_path):
    assert page.title == "07 A <title> & more?"
    assert page.body.count("<math") == 2 and 'display="block"' in page.body
    assert "<code>$x</code>" in page.body
    assert "<pre>1 &lt; 2</pre>" in page.body and "<pre>&lt;x&gt;</pre>" in page.body
    assert "FORMULA" not in page.body and "<p><div" not in page.body
    assert 'alt="A &quot;picture&quot; of &lt;nothing&gt;"' in page.body
    assert [picture.name for picture in page.pictures] == ["figures/07_1.png"]
    assert 'width="300" height="150"' in page.body  # 2 by 1 inches, 150 dots an inch
    assert (tmp_path / page.pictures[0].name).read_bytes().startswith(b"\x89PNG")


def test_a_solution_lies_folded(page):
    folded = re.search(r"<details>.*?</details>", page.body, re.DOTALL)
    assert "Solution: one" in folded[0] and "17" in folded[0]
    assert "17" not in page.body.replace(folded[0], "")


def test_the_pages_link_to_each_other_and_to_nothing_else(page, tmp_path):
    course.write([page, page], tmp_path)
    for name in ("index.html", page.name):
        text = (tmp_path / name).read_text(encoding="utf-8")
        links = re.findall(r'(?:src|href)="([^"]*)"', text)
        assert "style.css" in links
        outside = [link for link in links if not (tmp_path / link).exists()]
        assert outside == ["data:,"], outside
    index = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert page.name in index and page.heart.html() in index
    assert "url(" not in (tmp_path / "style.css").read_text(encoding="utf-8")


def test_the_index_shows_the_picture_to_keep_or_the_largest():
    small, large = course.Picture("a.png", 10, 10, "a"), course.Picture("b.png", 20, 10, "b")
    page = course.Page(SOURCES[0], "title", "", [small, large], 1.0)
    assert page.heart is large
    small.to_keep = True
    assert page.heart is small
    assert course.Page(SOURCES[0], "title", "", [], 1.0).heart is None


@pytest.mark.parametrize("folder", [NOTEBOOKS, NOTEBOOKS.parent], ids=["course", "repository"])
def test_each_readme_links_to_every_notebook(folder):
    """Under its number, beside its question: what stands in the notebook's first line."""
    text = (folder / "README.md").read_text(encoding="utf-8")
    for source in SOURCES:
        number, _, question = cells_of(source)[0].source.splitlines()[0].lstrip("# ").partition(" ")
        link = (NOTEBOOKS / f"{source.stem}.ipynb").relative_to(folder).as_posix()
        assert f"[{number} {question}]({link})" in text, source.stem


@pytest.mark.deep
def test_the_course_in_a_real_browser(tmp_path, monkeypatch):
    """No picture is missing, no error in the console, no request outside, at two widths."""
    browsers = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no chromium or google-chrome on this machine")
    monkeypatch.setenv("TINYADTN_FAST", "1")
    course.main(tmp_path)
    complaints = []
    with browsers.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for width in (390, 1200):
            tab = browser.new_page(viewport={"width": width, "height": 800})
            tab.on("console", lambda message: complaints.append(message.text))
            tab.on("pageerror", lambda error: complaints.append(str(error)))
            tab.on("requestfailed", lambda request: complaints.append(request.url))
            tab.on("request", lambda r: r.url[:5] in ("file:", "data:") or complaints.append(r.url))
            for file in sorted(tmp_path.glob("*.html")):
                tab.goto(file.as_uri())
                missing = "[...document.images].filter(i => !i.naturalWidth || !i.alt).length"
                assert tab.evaluate(missing) == 0, file.name
                beyond = "document.documentElement.scrollWidth - window.innerWidth"
                assert tab.evaluate(beyond) <= 0, f"{file.name} at {width} px"
        browser.close()
    assert complaints == []
    assert len(list(tmp_path.glob("*.html"))) == len(SOURCES) + 1
