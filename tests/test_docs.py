"""README and docs: every link leads somewhere, every example runs, every command is understood."""

import re
import shlex
import shutil
import subprocess
import sys

import docs_pages
import pytest
from course_rules import NOTEBOOKS, SOURCES, cells_of
from docs_pages import PAGES, ROOT, name

import tinyadtn as ta
from tinyadtn.cli.parser import build_parser
from tinyadtn.teach.__main__ import parser as teach_parser

DOCS = ROOT / "docs"
each_page = pytest.mark.parametrize("page", PAGES, ids=name)


def test_the_readme_fits_on_one_page():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 150


def test_the_readme_counts_the_ops():
    reference = (DOCS / "api" / "ops.md").read_text(encoding="utf-8")
    ops = set(re.findall(r"autofunction:: tinyadtn\.(\w+)", reference))
    ops -= {"accuracy"}  # has no gradient
    assert f"[{len(ops)} ops](docs/ops.md)" in (ROOT / "README.md").read_text(encoding="utf-8")


@each_page
def test_every_link_leads_somewhere(page):
    for target in docs_pages.links(page):
        if target.startswith(("https://", "http://")):
            continue
        file, _, anchor = target.partition("#")
        path = (page.parent / file).resolve() if file else page
        assert path.exists(), target
        if anchor:
            assert anchor in docs_pages.anchors(path), target


@pytest.mark.parametrize("folder", [NOTEBOOKS, ROOT], ids=["course", "repository"])
def test_each_readme_links_to_every_notebook(folder):
    """Under its number, next to its question: the first line of the notebook."""
    text = (folder / "README.md").read_text(encoding="utf-8")
    for source in SOURCES:
        number, _, question = cells_of(source)[0].source.splitlines()[0].lstrip("# ").partition(" ")
        link = (NOTEBOOKS / f"{source.stem}.ipynb").relative_to(folder).as_posix()
        assert f"[{number} {question}]({link})" in text, source.stem


@pytest.fixture
def own_parts(tmp_path, monkeypatch):
    """A current folder with the module ``parts`` of the guide."""
    blocks = docs_pages.blocks(ROOT / "docs" / "sweeps.md", "python")
    (tmp_path / "parts.py").write_text(next(code for code in blocks if "class Hashed" in code))
    monkeypatch.chdir(tmp_path)
    sys.modules.pop("parts", None)
    yield
    sys.modules.pop("parts", None)


@each_page
def test_every_command_is_understood(page, own_parts):
    """Options and commands by the parser, targets by the Makefile, programs by their files."""
    targets = re.findall(r"(?m)^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"))
    for command in docs_pages.commands(page):
        program, *words = shlex.split(re.sub(r"^([A-Z_]+=\S+ )+", "", command))
        if program == "make":
            assert words[0] in targets, command
        elif program == "tinyadtn" and words != ["--help"]:
            build_parser().parse_args(words)
        elif program == "python" and words[0] == "-m":
            assert words[1] in (
                "pip",
                "pytest",
                "sphinx",
                "tinyadtn",
                "tinyadtn.tiny",
                "tinyadtn.teach",
            ), command
            if words[1] == "tinyadtn.teach":
                teach_parser().parse_args(words[2:])
            if words[1] == "tinyadtn":
                build_parser().parse_args(words[2:])
        elif program == "python":
            assert (ROOT / words[0]).is_file(), command
        else:
            assert program in ("tinyadtn", "pip", "export"), command


# Pages whose examples need more than NumPy: torch.md is run by test_torch_recipe.
ELSEWHERE = {"docs/torch.md", "docs/gpu.md", "data/README.md"}


def plain(page):
    """The examples of a page that are programs; those with ">>>" are doctests."""
    return [code for code in docs_pages.blocks(page, "python") if ">>>" not in code]


@each_page
def test_the_programs_of_a_page_run_from_top_to_bottom(page, tmp_path, monkeypatch):
    if name(page) not in ELSEWHERE:
        monkeypatch.chdir(tmp_path)
        names = {}
        for code in plain(page):
            exec(compile(code, str(page), "exec"), names)


def test_the_program_for_a_gpu_runs(cuda, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (code,) = plain(DOCS / "gpu.md")
    names = {}
    exec(compile(code, "gpu.md", "exec"), names)
    saved = ta.load("model.npz").arrays()
    assert all((saved[key] == value).all() for key, value in names["gpu"].arrays().items())


def test_the_doctests_of_every_page_are_collected():
    """Pages with ">>>" lie where testpaths looks: at the root and in docs."""
    for page in PAGES:
        if ">>>" in page.read_text(encoding="utf-8"):
            assert page.parent == DOCS or page == ROOT / "README.md", name(page)


def test_equations_lead_to_code_and_tests():
    lines = (DOCS / "equations.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith("|")][2:]
    assert len(rows) > 15
    for row in rows:
        *_, code, tests = re.split(r"(?<!\\)\|", row.strip("|"))
        (file,) = re.findall(r"\((.*?)\)", code)
        text = (DOCS / file).read_text(encoding="utf-8")
        for part in code.rpartition(")")[2].strip(" `").split("."):
            assert not part or re.search(rf"(?:def|class) {part}\b", text), row
        for test in re.findall(r"`(.*?)`", tests):
            assert (ROOT / "tests" / test).is_file(), row


def test_the_reference_has_every_public_name():
    text = "".join(path.read_text(encoding="utf-8") for path in (DOCS / "api").glob("*.md"))
    documented = set(re.findall(r"auto\w+:: tinyadtn\.([\w.]+)", text))
    models = {f"models.{key}" for key in ta.models.MODELS}
    drawn = {f"draw.{key}" for key in ta.draw.__all__}
    alone = set(ta.__all__) - {"models", "draw", "__version__"}
    same = {"Part"}  # the first name of SharedWeight
    assert documented >= (alone - same) | models | drawn


def test_workflows_call_what_make_runs():
    """A workflow cannot run here, so it has only commands that are tested here."""
    make = (ROOT / "Makefile").read_text(encoding="utf-8")
    for workflow in (ROOT / ".github" / "workflows").glob("*.yml"):
        for target in re.findall(r"make ([a-z-]+)", workflow.read_text(encoding="utf-8")):
            assert re.search(rf"(?m)^{target}:", make), target


# --- the site ------------------------------------------------------------------------------------


def build(folder, *options):
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet"]
    return subprocess.run(
        [*command, *options, "-c", str(DOCS), str(ROOT), str(folder)],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site without the outputs of the notebooks."""
    pytest.importorskip("myst_nb", reason="no site is built: make docs installs Sphinx")
    folder = tmp_path_factory.mktemp("site")
    done = build(folder, "-D", "nb_execution_mode=off")
    assert done.returncode == 0, done.stderr
    return folder


def test_the_site_can_be_read_without_a_network(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > len(PAGES)
    for page in pages:
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|img|link|iframe)\b[^>]*?(?:src|href)=\"([^\"]*)\"", text)
        assert [url for url in loaded if re.match(r"(?:https?:)?//", url)] == [], page
    for style in site.rglob("*.css"):
        assert not re.search(r"url\(\W*(?:https?:)?//", style.read_text(encoding="utf-8")), style


def test_the_site_has_formulas_solutions_and_a_start_page(site):
    notebook = (site / "notebooks" / "07_brick_wall.html").read_text(encoding="utf-8")
    assert "<math" in notebook
    assert "<summary>Solution: apply gate</summary>" in notebook
    assert (site / "index.html").read_bytes() == (site / "README.html").read_bytes()
    assert 'id="tinyadtn.compress"' in (site / "docs/api/encodings.html").read_text("utf-8")


def test_a_page_without_solutions_is_a_setting(monkeypatch):
    pytest.importorskip("myst_nb", reason="no site is built: make docs installs Sphinx")
    monkeypatch.syspath_prepend(str(DOCS))
    import notebook_pages

    text = (NOTEBOOKS / f"{SOURCES[1].stem}.ipynb").read_text(encoding="utf-8")
    shown = {}
    for setting in ("0", "1"):
        monkeypatch.setenv("TINYADTN_SOLUTIONS", setting)
        cells = notebook_pages.with_solutions(text).cells
        shown[setting] = "".join(cell.source for cell in cells)
    assert "Solution: tanh" in shown["1"] and "Solution:" not in shown["0"]


@pytest.mark.deep
def test_the_site_in_a_real_browser(tmp_path, monkeypatch):
    """Notebooks with outputs; no picture is missing, no request outside, at two widths."""
    pytest.importorskip("myst_nb", reason="no site is built: make docs installs Sphinx")
    browsers = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no chromium or google-chrome on this machine")
    monkeypatch.setenv("TINYADTN_FAST", "1")
    done = build(tmp_path)
    assert done.returncode == 0, done.stderr
    complaints = []
    with browsers.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for width in (390, 1280):
            tab = browser.new_page(viewport={"width": width, "height": 800})
            tab.on("pageerror", lambda error: complaints.append(str(error)))
            tab.on("requestfailed", lambda request: complaints.append(request.url))
            tab.on("request", lambda r: r.url[:5] in ("file:", "data:") or complaints.append(r.url))
            for file in sorted(tmp_path.rglob("*.html")):
                tab.goto(file.as_uri())
                missing = "[...document.images].filter(i => !i.naturalWidth || !i.alt).length"
                assert tab.evaluate(missing) == 0, file.name
                beyond = "document.documentElement.scrollWidth - window.innerWidth"
                assert tab.evaluate(beyond) <= 0, f"{file.name} at {width} px"
                for film in tab.query_selector_all(".player"):
                    count = film.query_selector("span").inner_text
                    before, next_step = count(), "button[aria-label='one step on']"
                    film.query_selector(next_step).click()
                    assert before.startswith("1 of ") and count().startswith("2 of "), file.name
        browser.close()
    assert complaints == []
    for page in (tmp_path / "notebooks").glob("0*.html"):
        assert 'class="cell_output' in page.read_text(encoding="utf-8"), page
