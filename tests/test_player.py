"""A player shows its steps with scripts and without, and loads nothing from elsewhere."""

import base64
import re

import pytest

pytest.importorskip("matplotlib")
from tinyadtn.course.player import player
from tinyadtn.draw.style import new_figure


def figure(k):
    made = new_figure(2, 1, "")
    made.text(0.5, 0.5, str(k))
    return made


@pytest.fixture(scope="module")
def film():
    return player(figure, ["a < b", 'He said "go".', "End."], alt="Three numbers.")


def test_every_step_is_there_without_scripts(film):
    page = film.html()
    images = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    assert len(set(images)) == 3
    assert all(base64.b64decode(image).startswith(b"\x89PNG") for image in images)
    assert re.findall(r"<figcaption>(.*?)</figcaption>", page) == [
        "a &lt; b",
        "He said &quot;go&quot;.",
        "End.",
    ]
    assert 'alt="Three numbers. Step 2 of 3: He said &quot;go&quot;."' in page


def test_nothing_comes_from_a_network(film):
    assert not re.search(r"https?://|\bimport\b|fetch\(", film.html())


def test_where_html_is_not_shown_the_last_step_is(film):
    data, metadata = film._repr_mimebundle_()
    assert base64.b64decode(data["image/png"]) == film.images[-1]
    assert metadata["image/png"]["alt"].endswith("Step 3 of 3: End.")


def test_a_player_without_steps_is_an_error():
    with pytest.raises(ValueError, match="at least one step"):
        player(figure, [], alt="")
