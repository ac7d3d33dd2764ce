"""The pictures of notebooks 06 to 09 show what they are given."""

import numpy as np
import pytest

import tinyadtn as ta

pytest.importorskip("matplotlib")
from tinyadtn.course.pictures import budgets, claims, fits, walls


def spectra_of(wall):
    return [ta.draw.cut_spectrum(wall, cut) for cut in range(1, wall.num_sites)]


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


def test_growth_tells_the_entries_and_the_rank_of_each_matrix():
    figure = walls.growth([("one", np.eye(1, 16).reshape(4, 4)), ("all", np.eye(4))], per_row=2)
    assert "one: 1 not 0 rank 1; all: 4 not 0 rank 4" in figure.get_label()


def test_only_marks_in_the_corner_get_a_margin():
    figure = walls.growth([("one", np.eye(1, 256).reshape(16, 16)), ("all", np.ones((16, 16)))], 2)
    edges = [axes.get_xlim()[0] for axes in figure.axes]
    assert edges == [-1.5, -0.5]


def test_the_race_draws_every_family_and_the_bound():
    found = {name: [(100, [0.9, 0.8]), (1000, [0.5, 0.4])] for name in fits.FAMILIES}
    figure = fits.race({"a": found, "b": found}, size=50_000)
    axes = figure.axes[0]
    drawn = [line.get_xydata() for line in axes.lines]
    for _ in fits.FAMILIES:
        assert any(np.allclose(xy, [[100, 0.85], [1000, 0.45]]) for xy in drawn if len(xy) == 2)
    bound = next(xy for xy in drawn if len(xy) == 50)
    np.testing.assert_allclose(bound[:, 1], np.sqrt(1 - bound[:, 0] / 50_000))


def test_the_fits_are_told():
    curve = {"norm": np.array([1.0, 0.01]), "best": np.array([1.0, 0.75])}
    label = fits.two_ways(curve, curve | {"best": np.array([1.0, 0.5])}).get_label()
    assert "from 1 to 0.010" in label and "0.750, the angle at 0.500" in label


def test_accuracy_stands_at_its_error_and_frozen_is_a_line():
    short = {"frozen": ("frozen", 0, [80.0, 82.0]), "w": ("ADTN", 164, [90.0, 92.0])}
    long = {"frozen": ("frozen", 0, [95.0]), "ADTN M=1": ("ADTN", 164, [98.0])}
    axes = budgets.accuracy({"net": (short, long)}).axes[0]
    lines = [line.get_xydata() for line in axes.lines]
    for stored, error in ((164, 9.0), (164, 2.0)):
        assert any(np.allclose(xy, [[stored, error]]) for xy in lines if xy.shape == (1, 2))
    levels = [xy[0, 1] for xy in lines if xy.shape == (2, 2) and xy[0, 1] == xy[1, 1]]
    assert {19.0, 5.0} <= set(levels)
    assert axes.yaxis.get_major_formatter()(2.0, None) == "98"


def test_the_ladder_says_every_state_in_words():
    rungs = [(f"claim {state}", "must", "checked", "not", state) for state in claims.STATES]
    figure = claims.ladder(*rungs)
    written = [text.get_text() for text in figure.axes[0].texts]
    for state, (_, sign) in claims.STATES.items():
        assert state in written and sign in written and f"({state})" in figure.get_label()
    with pytest.raises(KeyError):
        claims.ladder(("c", "m", "c", "n", "surely"))


def test_seeds_shows_each_run_and_what_the_verdict_says():
    runs = {"a": [1.0, 2.0], "b": [5.0, 6.0], "c": [5.0, 6.0]}
    figure = claims.seeds(runs, lambda a, b: int(a != b))
    axes = figure.axes[0]
    dots = [line.get_xdata() for line in axes.lines if line.get_marker() == "o"]
    assert [list(x) for x in dots] == list(runs.values())
    assert [text.get_text() for text in axes.texts] == ["differ", "no verdict"]
