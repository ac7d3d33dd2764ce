"""The pictures of notebooks 06 to 11 show what they are given."""

import numpy as np
import pytest

import tinyadtn as ta

pytest.importorskip("matplotlib")
from tinyadtn.course.pictures import budgets, claims, cuts, fits, legs, walls


def spectra_of(wall):
    return [ta.draw.cut_spectrum(wall, cut) for cut in range(1, wall.num_sites)]


def bars_of(axes):
    """The (low, high) ends of every error bar."""
    segments = [s for c in axes.containers for bars in c.lines[2] for s in bars.get_segments()]
    return [(low, high) for (_, low), (_, high) in segments]


@pytest.mark.parametrize("gate", [(1, 0, 4), (1, 1, 5), (1, 1, 1), (2, 0, 8), (2, 1, 3)])
def test_the_cone_is_where_a_turned_gate_is_noticed(gate):
    layer, column, site = gate
    wall = ta.ADTN(
        (64, 64), 2, activation="identity", order="output_first", start="orthogonal", rng=0
    )
    before = spectra_of(wall)
    gates = wall.columns[2 * (layer - 1) + column].data
    size = len(gates[0].ravel()) if gates.ndim == 3 and gates.shape[1] == 2 else 4
    turn, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(size, size)))
    gates[site // 2] = (turn @ gates[site // 2].reshape(size, -1)).reshape(gates[0].shape)
    changed = [
        cut for cut, a, b in zip(range(1, 12), before, spectra_of(wall)) if abs(a - b).max() > 1e-5
    ]
    left, right = walls._cone(12, 2, gate)[-1]
    assert changed == list(range(left + 1, right + 1))
    label = walls.light_cone(12, 2, gate, before, before).get_label()
    assert f"sites {left} to {right}." in label


def test_the_elements_are_the_gates_and_relus_in_the_order_of_the_library():
    wall = ta.ADTN((16, 32), 3, order="output_first")
    expected = []
    for number, column in enumerate(wall.wall):
        if number > 0 and number % 2 == 0:
            expected.append(("relu", number, 0))
        expected += [("gate", number, left) for left, _ in column.pairs]
    assert walls.elements(9, 3) == expected


def film_of(backward):
    count = len(walls.elements(4, 2))
    return walls.film(4, 2, [np.eye(4) * (k + 1) for k in range(count + 1)], backward=backward)


def test_the_film_has_a_frame_for_the_start_and_for_each_step():
    film = film_of(backward=False)
    assert len(film.captions) == 1 + len(walls.elements(4, 2)) == len(film.images)
    assert film.captions[0] == "The start |0…0⟩: 4 of 16 entries are not 0, rank 4."
    assert film.captions[1].startswith("The gate on sites 0 and 1 (layer 1, column 1)")
    assert any(caption.startswith("ReLU after layer 1") for caption in film.captions)


def test_backward_the_last_gate_comes_first():
    captions = film_of(backward=True).captions
    assert captions[0].startswith("dL/dT arrives")
    assert captions[1].startswith("The gate on sites 1 and 2 (layer 2, column 2)")


def test_a_film_needs_a_matrix_for_each_step():
    with pytest.raises(ValueError, match="zip"):
        walls.film(4, 2, [np.eye(4)] * 3)


@pytest.mark.parametrize(
    ("diagram", "legs_up", "bonds"),
    [
        (legs.whole(4), 4, 0),
        (legs.product(4), 4, 0),
        (legs.cut(4, 2), 4, 1),
        (legs.train([(4, 4), (4, 7), (2, 2)]), 6, 2),
        (legs.gate(5, 2), 5, 0),
        (legs.brick_wall(6, 2), 6, 0),
        (legs.two_halves(4, 3), 7, 0),
        (legs.rank_four(4, 3), 7, 2),
        (legs.gauge(), 2, 3),
        (legs.cores((3, 2, 2)), 7, 2),
    ],
    ids=lambda value: value.title if isinstance(value, legs.Diagram) else "",
)
def test_a_diagram_has_its_legs_and_its_bonds(diagram, legs_up, bonds):
    upright = [line for line in diagram.lines if line[0] == line[2]]
    across = [line for line in diagram.lines if line[1] == line[3]]
    assert (len(upright), len(across)) == (legs_up, bonds)
    axes = legs.draw(diagram).axes[0]
    assert diagram.title in axes.get_title()
    assert len(axes.patches) == len(diagram.boxes)


def test_the_drawn_wall_stores_what_the_library_counts():
    for num_sites, depth in ((5, 1), (6, 2), (8, 3)):
        texts = [text for _, _, _, text, _ in legs.brick_wall(num_sites, depth).boxes]
        stored = sum(int(text) for text in texts if text.isdigit())
        rows = 2 ** (num_sites // 2)
        assert stored == ta.ADTN((rows, 2**num_sites // rows), depth).num_parameters
        assert texts.count("ReLU on all entries") == depth - 1


def test_missing_draws_every_curve_as_it_is():
    curves = {"a": np.linspace(1, 0, 20), "b": np.linspace(1, 0.5, 20)}
    figure = cuts.missing(curves)
    drawn = [line.get_ydata() for line in figure.axes[0].lines]
    for curve in curves.values():
        assert any(len(y) == 20 and np.allclose(y, curve) for y in drawn)
    assert f"a {curves['a'][16]:.2g}" in figure.get_label()


def test_learning_has_a_frame_for_each_entry():
    history = [(k, 2.0, 10.0 + k, np.full((12, 784), 1.0 + k)) for k in range(3)]
    film = budgets.learning(history)
    assert film.captions[1] == "After step 1: loss 2.00, validation accuracy 11.0 %."
    assert len(film.images) == 3


def test_the_race_draws_every_family_and_the_bound():
    found = {name: [(100, [0.9, 0.8, 0.85]), (1000, [0.6, 0.4, 0.35])] for name in fits.FAMILIES}
    figure = fits.race({"a": found, "b": found}, size=50_000, depths=(1, 5))
    axes = figure.axes[0]
    drawn = [line.get_xydata() for line in axes.lines]
    for _ in fits.FAMILIES:
        assert any(np.allclose(xy, [[100, 0.85], [1000, 0.45]]) for xy in drawn if len(xy) == 2)
    assert any(np.allclose(bar, (0.35, 0.6)) for bar in bars_of(axes))
    bound = next(xy for xy in drawn if len(xy) == 50)
    np.testing.assert_allclose(bound[:, 1], np.sqrt(1 - bound[:, 0] / 50_000))
    assert [text.get_text() for text in figure.axes[-1].texts] == ["M=1", "M=5"]


def test_the_fits_are_told():
    curve = {"norm": np.array([1.0, 0.01]), "best": np.array([1.0, 0.75])}
    label = fits.two_ways(curve, curve | {"best": np.array([1.0, 0.5])}).get_label()
    assert "from 1 to 0.010" in label and "0.750, the angle at 0.500" in label


def test_accuracy_stands_at_its_error_and_frozen_is_a_line():
    short = {"frozen": (0, [80.0, 82.0]), "ADTN, yours": (164, [89.0, 91.5, 92.5])}
    long = {"frozen": (0, [95.0]), "ADTN M=1": (164, [98.0])}
    axes = budgets.accuracy({"net": (short, long)}).axes[0]
    lines = [line.get_xydata() for line in axes.lines]
    for stored, error in ((164, 9.0), (164, 2.0)):
        assert any(np.allclose(xy, [[stored, error]]) for xy in lines if xy.shape == (1, 2))
    assert any(np.allclose(bar, (7.5, 11.0)) for bar in bars_of(axes))
    levels = [xy[0, 1] for xy in lines if xy.shape == (2, 2) and xy[0, 1] == xy[1, 1]]
    assert {19.0, 5.0} <= set(levels)
    assert axes.yaxis.get_major_formatter()(2.0, None) == "98"


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("ADTN M=4", "ADTN"),
        ("larger sites", "ADTN, larger sites"),
        ("TT (Gao)", "tensor train"),
        ("rank 1", "low rank"),
        ("low rank", "low rank"),
        ("removed", "layers removed"),
        ("dense", "dense"),
    ],
)
def test_a_row_has_the_mark_of_its_family(name, family):
    runs = {"frozen": (0, [80.0]), name: (164, [90.0])}
    figure = budgets.accuracy({"net": (runs, runs)})
    (legend,) = figure.legends
    assert legend.get_texts()[0].get_text() == family
    colour, _, marker = budgets.MARKS[family]
    marks = [line for line in figure.axes[0].lines if len(line.get_xydata()) == 1]
    assert (colour, marker) in {(line.get_color(), line.get_marker()) for line in marks}


def test_the_ladder_says_every_state_in_words():
    rungs = [(f"claim {state}", "must", "checked", "not", state) for state in claims.STATES]
    figure = claims.ladder(*rungs)
    written = [text.get_text().replace("\n", " ") for text in figure.axes[0].texts]
    for state, (_, sign) in claims.STATES.items():
        assert state in written and sign in written and f"({state})" in figure.get_label()
    with pytest.raises(KeyError):
        claims.ladder(("c", "m", "c", "n", "surely"))


def test_seeds_shows_each_run_and_what_the_verdict_says():
    runs = {"a": [1.0, 2.0], "b": [5.0, 6.0], "c": [5.0, 6.0]}
    figure = claims.seeds(runs, lambda a, b: -int(a != b))
    axes = figure.axes[0]
    dots = [line.get_xdata() for line in axes.lines if line.get_marker() == "o"]
    assert [list(x) for x in dots] == list(runs.values())
    assert [text.get_text() for text in axes.texts] == ["differ", "not significant"]


def test_the_claim_of_2023_shows_the_runs_that_it_is_given():
    lenet = {"ADTN, 2,192": [90.0, 92.0], "dense": [95.0]}
    heads = {"ADTN, 424": [71.0], "frozen": [72.0], "removed": [73.0]}
    whole = {"424": [61.0], "dense": [62.0]}
    rungs = claims.claim_of_2023({"before": 1.5, "after": 2.5}, lenet, heads, whole)
    assert {rung.state for rung in rungs} <= set(claims.STATES)
    texts = " ".join(text for rung in rungs for text in rung)
    for figure in (
        "91.0 %, dense 95.0",
        "71.0 %, frozen 72.0 %, removed 73.0",
        "61.00",
        "1.5 to 2.5",
    ):
        assert figure in texts
