"""The pictures of notebooks 00 to 05 show what they are given."""

import numpy as np
import pytest

pytest.importorskip("matplotlib")
from tinyadtn import tiny
from tinyadtn.course.pictures import graph, learning, letters, line, page, patches


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


class Node:
    def __init__(self, data, parents=(), slopes=(), op=""):
        self.data, self.parents, self.slopes, self.op = data, parents, slopes, op


def graph_nodes():
    """x · x + x at x = 3, in a topological order."""
    x = Node(3.0)
    square = Node(9.0, (x, x), (3.0, 3.0), "multiply")
    return x, square, Node(12.0, (square, x), (1.0, 1.0), "add")


def test_adjoints_arrive_one_node_after_the_other():
    x, square, total = order = graph_nodes()
    names = {x: "x", square: "v1", total: "y"}
    moments = graph.backward_moments(total, order, names)
    assert [moment.adjoints.get(x) for moment in moments] == [None, None, 1.0, 7.0]
    assert [moment.waiting[x] for moment in moments] == [3, 3, 2, 0]
    assert moments[3].caption == "v1 passes its adjoint on: 1 × 3 to x and 1 × 3 to x."
    figures = [graph.draw_moment(moment, order, names) for moment in moments]
    assert len({tuple(figure.get_size_inches()) for figure in figures}) == 1
    assert "7" in texts(figures[3]) and "7" not in texts(figures[2])
    film = graph.adjoints_arriving(total, order, {x: "x"})
    assert len(film.captions) == 4 and "v1 1, v2 1" in film.alt


def test_no_arrow_passes_through_a_node():
    rng = np.random.default_rng(0)
    for count in range(2, 12):
        order = [Node(1.0), Node(2.0)]
        for _ in range(count):
            order.append(Node(1.0, tuple(rng.choice(order, size=2)), (1.0, 1.0), "add"))
        places, ways = graph._places(order)
        assert len(ways) == 2 * count
        for (node, k), way in ways.items():
            assert (way[0], way[-1]) == (node.parents[k], node)
            steps = np.diff([places[stop][0] for stop in way])
            assert np.allclose(steps, graph.COLUMN)  # a stop in each column: none is jumped over
        for x in {x for x, _ in places.values()}:
            ys = sorted(y for other, y in places.values() if other == x)
            assert min(np.diff(ys), default=1.0) > graph.HEIGHT


def test_each_patch_becomes_a_column():
    image, kernel = np.arange(16.0).reshape(4, 4), np.array([[1.0, 2.0], [0.0, -1.0]])
    board = patches.Board(image, kernel, pixel=(1, 1))
    windows = np.lib.stride_tricks.sliding_window_view(image, (2, 2))
    assert np.array_equal(board.columns, windows.reshape(9, 4).T)
    assert board.marked.sum() == 4  # the windows that contain the pixel
    for now in (0, 8):
        board.after(now)
        seen = sum(text.get_visible() for _, text, _, _ in board.cells)
        assert seen == 16 + 2 * 4 + (4 + 1 + 1) * (now + 1)  # columns, and the result twice
        column, entry = (outline.get_x() for outline, _ in board.outlines[2:])
        assert column == entry  # an entry of the result stands below its column
    film = patches.sliding_patches(image, kernel, (1, 1))
    assert "Window at row 2, column 2" in film.captions[8]
    assert f"this column is {np.sum(image[2:, 2:] * kernel):g}" in film.captions[8]


def test_no_loss_is_cut_off():
    axes = learning.loss_curves({"a": [9.0, 3.0, 1.0], "b": [2.0, 1.0]}).axes[0]
    assert axes.get_ylim()[0] == 0 and axes.get_ylim()[1] > 9


def test_a_loss_is_drawn_at_its_step():
    axes = learning.loss_curves({"a": np.linspace(2, 1, 20)}).axes[0]
    assert list(axes.lines[-1].get_xdata()) == list(range(1, 21))
    assert all(tick == round(tick) for tick in axes.get_xticks())


def test_a_smoothed_curve_starts_at_the_first_loss():
    losses = np.random.default_rng(0).normal(2, 0.3, size=240)
    figure = learning.loss_curves({"a": losses})
    drawn = figure.axes[0].lines[-1].get_ydata()
    assert len(drawn) == 240 and figure.axes[0].get_ylabel() == "loss, smoothed"
    assert np.allclose(drawn[[0, 120, -1]], [losses[0], losses[117:124].mean(), losses[-4:].mean()])
    assert f"a from {losses[0]:.2f} to {losses[-4:].mean():.2f}" in figure.get_label()


def test_the_middle_letter_joins_the_nodes():
    figure = letters.chains([("forward", ("A", "B"), "ikj"), ("adjoint of A", ("G", "B"), "ijk")])
    assert [sorted(texts_of.get_text() for texts_of in axes.texts) for axes in figure.axes] == [
        ["A", "B", "i", "j", "k"],
        ["B", "G", "i", "j", "k"],
    ]
    assert "adjoint of A: G has the legs i and j, B has j and k" in figure.get_label()


def test_the_lines_on_the_way_are_those_of_the_path():
    figure = line.line_fit(
        [0.0, 2.0], [1.0, 1.0], [(1.0, -1.0, 4.0), (0.5, 0.0, 1.0)], steps=(0, 1)
    )
    drawn = [list(each.get_ydata()) for each in figure.axes[0].lines]
    assert [-1.0, 1.0] in drawn and [0.0, 1.0] in drawn
    assert list(figure.axes[1].lines[0].get_ydata()) == [4.0, 1.0]


def test_the_page_has_as_many_parameters_as_its_picture():
    network = tiny.ADTN(256, 28, 28, depth=2, rng=np.random.default_rng(0))
    gates = sum(column.data.size for column in network.columns)
    written = texts(page.page_graph())
    assert f"{gates:,} parameters" in written and f"{10 * 256 + 10:,} parameters" in written
