"""Pictures hold what they say, in words that can be read, and leave matplotlib's state alone."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.text import Text
from PIL import Image

import tinyadtn as ta
from tinyadtn import draw
from tinyadtn.draw import matrices
from tinyadtn.draw import wall as draw_wall
from tinyadtn.draw.style import FRESH_GATE, GATE, SERIES
from tinyadtn.errors import GraphError, NonFiniteError, ShapeError, TinyADTNError

WALLS = {
    "fc1": ((256, 784), {"depth": 2, "axes": (256, (28, 28))}),
    "one layer": ((64, 100), {"order": "output_first"}),
    "one gate": ((2, 2), {}),
    "largest": ((4096, 4096), {"depth": 8, "activation": "leaky_relu"}),
    "kernel": ((16, 6, 5, 5), {"depth": 3, "activation": "tanh"}),
    "digits": ((16, 64), {"depth": 2, "site_dim": 4}),
    "bits and digits": ((8, 6), {"depth": 2, "site_dim": (2, 4, 2, 3)}),
    "staircase": ((16, 16), {"depth": 2, "wiring": "staircase"}),
    "tree": ((256, 784), {"depth": 2, "wiring": "tree", "axes": (256, (28, 28))}),
    "butterfly": ((32, 64), {"depth": 2, "wiring": "butterfly"}),
    "butterfly of digits": ((64, 64), {"depth": 2, "wiring": "butterfly", "site_dim": 8}),
    "large digits": ((256, 16), {"depth": 2, "wiring": "tree", "site_dim": 16}),
    "flipped": ((16, 16), {"wiring": [((7, 0), (2, 1)), ((3, 6), (5, 4))]}),
    "nested": ((4, 4), {"depth": 2, "wiring": [((1, 2), (0, 3)), ((0, 1),)]}),
}


def wall(name):
    shape, options = WALLS[name]
    return ta.ADTN(shape, **options)


def history(*losses):
    return [
        {
            "epoch": k + 1,
            "loss": loss,
            "learning_rate": 0.001,
            "validation_loss": loss,
            "validation_accuracy": 1 - loss / 4,
        }
        for k, loss in enumerate(losses)
    ]


def boxes(figure, kind="gate"):
    return [patch for patch in figure.axes[0].patches if patch.get_gid() == kind]


def extent(box):
    """A box's place in the picture: in sites from top to bottom."""
    outline = box.get_patch_transform().transform_path(box.get_path())
    return outline.get_extents()


def words(figure):
    """What stands beside the wall and in it, without the legend."""
    return [text.get_text() for text in figure.axes[0].texts]


# --- the brick wall ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WALLS)
def test_the_wall_has_a_box_for_every_gate_on_the_sites_it_acts_on(name):
    """A box is wide on two lines, narrow on those in between, and nowhere else."""
    weight = wall(name)
    pairs = [(c.layer, tuple(sorted(p))) for c in weight.wall for p in c.pairs]
    drawn = []
    figure = draw.brick_wall(weight)
    sigmas = sorted(extent(box).x0 for box in boxes(figure, "sigma"))
    assert len(sigmas) == weight.depth - 1
    for box in boxes(figure):
        place, outline = extent(box), box.get_path()
        left, middle = place.x0 + 0.1 * place.width, place.x0 + 0.5 * place.width
        lines = range(weight.num_sites)
        wide = tuple(y for y in lines if outline.contains_point((left, y)))
        covered = [y for y in lines if outline.contains_point((middle, y))]
        assert covered == list(range(wide[0], wide[1] + 1))
        drawn.append((1 + sum(x < place.x0 for x in sigmas), wide))
    assert Counter(drawn) == Counter(pairs)


@pytest.mark.parametrize("name", WALLS)
def test_no_box_covers_another_and_gates_on_one_site_stand_in_the_order_they_act(name):
    weight = wall(name)
    figure = draw.brick_wall(weight)
    gates = boxes(figure)
    extents = [extent(box) for box in gates + boxes(figure, "sigma")]
    for k, place in enumerate(extents):
        assert not any(place.overlaps(other) for other in extents[:k])
    acting = [pair for column in weight.wall for pair in column.pairs]  # drawn in this order
    last = [-1.0] * weight.num_sites
    for box, pair in zip(gates, acting):
        assert all(extent(box).x0 > last[site] for site in pair)
        for site in pair:
            last[site] = extent(box).x0


@pytest.mark.parametrize("name", WALLS)
def test_the_numbers_in_the_boxes_add_up_to_what_is_stored(name):
    weight = wall(name)
    figure = draw.brick_wall(weight)
    inside = [int(word) for word in words(figure) if word.isdigit()]
    assert len(inside) == len(boxes(figure))
    assert sum(inside) == weight.num_parameters
    assert f"{weight.num_parameters:,} parameters" in figure.get_suptitle()


@pytest.mark.parametrize("name", WALLS)
def test_every_number_stands_inside_its_box(name):
    figure = draw.brick_wall(wall(name))
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    numbers = [text for text in figure.axes[0].texts if text.get_text().isdigit()]
    for text, box in zip(numbers, boxes(figure), strict=True):  # drawn together, so in one order
        inner, outer = text.get_window_extent(), box.get_window_extent()
        assert outer.x0 < inner.x0 and inner.x1 < outer.x1
        assert outer.y0 < inner.y0 and inner.y1 < outer.y1


def test_fresh_gates_look_different_and_the_legend_says_what_they_are():
    figure = draw.brick_wall(ta.ADTN((8, 4), depth=2))
    looks = Counter(to_hex(box.get_facecolor()).upper() for box in boxes(figure))
    assert looks == {FRESH_GATE: 2, GATE: 6}
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == [
        "gate on |00⟩: stores one column",
        "gate: stores its whole matrix",
        "σ = relu, on all entries",
    ]


def test_the_legend_names_only_what_is_drawn():
    figure = draw.brick_wall(ta.ADTN((2, 2)))
    assert [t.get_text() for t in figure.legends[0].get_texts()] == [
        "gate on |00⟩: stores one column"
    ]


@pytest.mark.parametrize(
    ("shape", "options", "expected"),
    [
        ((4, 6), {"order": "output_first"}, "out b1, out b0, in b2, in b1, in b0"),
        ((4, 6), {"order": "interleaved"}, "in b2, out b1, in b1, out b0, in b0"),
        ((4, 6), {"order": (4, 0, 1, 2, 3)}, "in b0, out b1, out b0, in b2, in b1"),
        (
            (4, 16),
            {"axes": (4, (4, 4)), "order": "output_first"},
            "out b1, out b0, row b1, row b0, col b1, col b0",
        ),
        (
            (2, 12),
            {"axes": (2, (3, 2, 2)), "order": "output_first"},
            "out b0, channel b1, channel b0, row b0, col b0",
        ),
        ((4, 1, 2, 2), {"order": "output_first"}, "out b1, out b0, row b0, col b0"),
        ((16, 4), {"site_dim": 4, "order": "output_first"}, "out d1, out d0, in d0"),
        ((2, 2, 2), {"order": "output_first"}, "axis 0 b0, axis 1 b0, axis 2 b0"),
        ((4, 2), {"axes": ((2, 2), 2), "order": "output_first"}, "out 0 b0, out 1 b0, in b0"),
    ],
)
def test_every_line_says_what_its_site_stands_for(shape, options, expected):
    weight = ta.ADTN(shape, **options)
    axes = draw.brick_wall(weight).axes[0]
    edge = max(line.get_xdata()[-1] for line in axes.lines)
    at_the_end = {
        t.get_position()[1]: t.get_text() for t in axes.texts if t.get_position()[0] > edge
    }
    assert [at_the_end[y] for y in range(weight.num_sites)] == expected.split(", ")


def test_a_name_is_right_about_the_entries_of_the_weight():
    """Gates that put site k in |1⟩ set just the bit that the label of line k names."""
    weight = ta.ADTN((4, 4, 2, 2), activation="identity", rng=0)
    flip, identity = np.array([[0, 0], [1, 0]]), np.eye(4)
    names = [name for name, _ in draw_wall.site_names(weight)]
    # The first gate acts on lines 0 and 1, all others leave |00⟩ alone: line 0 alone becomes 1.
    for column in weight.columns:
        full = column.shape[1:] == (4, 4)
        column.data = np.array(
            [identity if full else [[1, 0], [0, 0]] for _ in range(len(column.data))], float
        )
    weight.columns[0].data[0] = flip
    where = np.argwhere(weight.decode().numpy())
    assert where.shape == (1, 4)
    axis = ["out", "in", "row", "col"].index(names[0].split()[0])
    expected = [0, 0, 0, 0]
    expected[axis] = 2 ** int(names[0][-1])
    assert where[0].tolist() == expected


def test_the_wall_of_a_shape_alone_is_drawn_and_its_title_says_everything():
    title = draw.brick_wall(wall("largest")).get_suptitle()
    assert title == (
        "ADTN for a weight of shape (4096, 4096)\n"
        "Q = 24 sites, M = 8 layers, 2,800 parameters for 16,777,216"
    )


def test_only_an_adtn_has_a_wall():
    with pytest.raises(TinyADTNError, match="only an ADTN has a brick wall to draw, got Frozen"):
        draw.brick_wall(ta.Frozen((4, 4), rng=0))


# --- weights -------------------------------------------------------------------------------------


def images_of(figure):
    return [axes.images[0] for axes in figure.axes if axes.images]


def test_weights_share_one_symmetric_scale(rng):
    small, large = rng.normal(size=(6, 9)), 5 * rng.normal(size=(6, 9))
    figure = draw.weights({"dense": small, "fitted": large}, image_shape=(3, 3))
    limits = {image.get_clim() for image in images_of(figure)}
    assert len(limits) == 1
    low, high = limits.pop()
    assert low == -high
    assert (np.abs([small, large]) > high).mean() <= 0.02
    assert high <= np.abs(large).max()


def test_weights_are_shown_as_they_are_and_rows_as_images(rng):
    arrays = {"dense": rng.normal(size=(20, 12)), "fitted": ta.Tensor(rng.normal(size=(20, 12)))}
    figure = draw.weights(arrays, image_shape=(3, 4))
    large = [axes for axes in figure.axes if axes.get_xlabel() == "input"]
    assert [axes.get_title() for axes in large] == ["dense", "fitted"]
    for axes, label in zip(large, arrays):
        np.testing.assert_array_equal(axes.images[0].get_array(), np.asarray(arrays[label].data))
    small = [a for a in figure.axes if a.images and a.images[0].get_array().shape == (3, 4)]
    assert len(small) == 2 * matrices.IMAGES
    titles = [axes.get_title() for axes in small[: matrices.IMAGES]]
    chosen = [int(title.removeprefix("output ")) for title in titles]
    assert (chosen[0], chosen[-1]) == (0, 19)
    assert chosen == sorted(set(chosen))
    for line, label in enumerate(arrays):
        line_axes = small[line * matrices.IMAGES : (line + 1) * matrices.IMAGES]
        assert line_axes[0].get_ylabel() == label
        for axes, row in zip(line_axes, chosen):
            expected = np.asarray(arrays[label].data)[row].reshape(3, 4)
            np.testing.assert_array_equal(axes.images[0].get_array(), expected)


def test_a_kernel_is_shown_as_a_matrix(rng):
    kernel = rng.normal(size=(4, 3, 2, 2))
    figure = draw.weights({"conv1": kernel})
    np.testing.assert_array_equal(images_of(figure)[0].get_array(), kernel.reshape(4, 12))
    assert figure.axes[0].get_xlabel() == "input × kernel"


def test_weights_that_are_all_zero_can_be_shown():
    low, high = images_of(draw.weights({"zero": np.zeros((3, 3))}))[0].get_clim()
    assert low < 0 < high


@pytest.mark.parametrize(
    ("arrays", "options", "error", "message"),
    [
        ({}, {}, ShapeError, "need one shape, got none"),
        ({"a": np.eye(2), "b": np.eye(3)}, {}, ShapeError, r"'a': \(2, 2\), 'b': \(3, 3\)"),
        ({"a": np.ones(3)}, {}, ShapeError, r"a needs two axes or more .* \(3,\)"),
        ({"a": np.ones((0, 3))}, {}, ShapeError, r"an entry, its shape is \(0, 3\)"),
        ({"a": np.eye(4)}, {"image_shape": (3, 3)}, ShapeError, r"4 numbers .* \(3, 3\)"),
        ({"a": np.full((2, 2), np.nan)}, {}, NonFiniteError, "a holds NaN or infinity"),
    ],
)
def test_weights_that_cannot_be_compared_are_refused(arrays, options, error, message):
    with pytest.raises(error, match=message):
        draw.weights(arrays, **options)


# --- spectra -------------------------------------------------------------------------------------


def test_the_cut_spectrum_of_one_layer_is_that_of_the_matrix_product():
    """T for Q = 4, M = 1 written out with Kronecker products."""
    weight = ta.ADTN((4, 4), normalized=False, rng=3)
    first, second = (column.numpy().astype(np.float64) for column in weight.columns)
    state = np.kron(first[0].ravel(), first[1].ravel())
    state = np.kron(np.kron(np.eye(2), second[0]), np.eye(2)) @ state
    for cut in (1, 2, 3):
        expected = np.linalg.svd(state.reshape(2**cut, -1), compute_uv=False)
        np.testing.assert_allclose(draw.cut_spectrum(weight, cut), expected, rtol=1e-12)
    np.testing.assert_array_equal(draw.cut_spectrum(weight), draw.cut_spectrum(weight, 2))


@pytest.mark.parametrize("num_sites", [7, 8])
def test_one_layer_has_ranks_two_and_four_in_turn(num_sites):
    weight = ta.ADTN((2,) * num_sites, order="output_first", rng=0)
    for cut in range(1, num_sites):
        values = draw.cut_spectrum(weight, cut)
        # The last cut of an odd wall has one site to its right, which no fresh gate touches.
        expected = min(2 if cut % 2 else 4, 2 ** (num_sites - cut))
        assert (values > 1e-12 * values[0]).sum() == expected


def test_depth_raises_the_rank_across_the_middle():
    ranks = []
    for depth in (1, 2, 3):
        values = draw.cut_spectrum(ta.ADTN((32, 32), depth, rng=1))
        ranks.append((values > 1e-12 * values[0]).sum())
    assert ranks[0] in (2, 4)
    assert ranks[1] > 4
    assert ranks[2] >= ranks[1]


def test_a_cut_reads_sites_of_any_dimension_and_wiring():
    weight = ta.ADTN((8, 6), depth=2, site_dim=(2, 4, 2, 3), order=(0, 2, 1, 3), rng=0)
    state = weight.contract().numpy().astype(np.float64)
    for cut, rows in ((1, 2), (2, 4), (3, 16)):
        expected = np.linalg.svd(state.reshape(rows, -1), compute_uv=False)
        np.testing.assert_allclose(draw.cut_spectrum(weight, cut), expected, rtol=0, atol=1e-5)


def test_a_spectrum_leaves_the_weight_alone():
    weight = ta.ADTN((8, 8), depth=2, rng=0)
    before = weight.decode().numpy()
    draw.cut_spectrum(weight)
    assert {column.dtype for column in weight.columns} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(weight.decode().numpy(), before)


@pytest.mark.parametrize("cut", [0, 6, -1])
def test_a_cut_leaves_sites_on_both_sides(cut):
    with pytest.raises(ShapeError, match=f"1 … 5, not {cut}"):
        draw.cut_spectrum(ta.ADTN((8, 8), rng=0), cut)


def test_a_shape_without_values_has_no_spectrum():
    with pytest.raises(GraphError, match="shapes only"):
        draw.cut_spectrum(ta.ADTN((8, 8)))


def curves(axes):
    return {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}


def test_singular_values_of_matrices_kernels_and_spectra_share_one_picture(rng):
    left, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    right, _ = np.linalg.qr(rng.normal(size=(8, 8)))
    values = np.array([8.0, 4.0, 2.0])
    matrix = (left[:, :3] * values) @ right[:3]
    spectra = {
        "double": matrix,
        "single": ta.Tensor(matrix.astype(np.float32)),
        "kernel": matrix.reshape(6, 2, 2, 2),
        "values": [3.0, 6.0, 0.0],
    }
    axes = draw.singular_values(spectra).axes[0]
    found = curves(axes)
    assert list(found) == [
        "double: rank 3",
        "single: rank 3",
        "kernel: rank 3",
        "values: rank 2",
    ]
    for line in list(found.values())[:3]:
        np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3])
        np.testing.assert_allclose(line.get_ydata(), [1, 0.5, 0.25], rtol=1e-5)
    np.testing.assert_allclose(found["values: rank 2"].get_ydata(), [1, 0.5])
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")


@pytest.mark.parametrize(
    ("spectra", "error", "message"),
    [
        ({}, ShapeError, "at least one matrix"),
        ({"zero": np.zeros((3, 3))}, NonFiniteError, "zero needs a finite singular value above 0"),
        ({"none": []}, NonFiniteError, "none needs a finite singular value above 0"),
        ({"bad": np.full((2, 2), np.inf)}, NonFiniteError, "bad holds NaN or infinity"),
        ({"bad": [1.0, np.nan]}, NonFiniteError, "the largest: nan"),
        ({"one": np.float64(3)}, ShapeError, r"one needs two axes or more .* \(\)"),
        ({str(k): np.eye(2) for k in range(9)}, ShapeError, "9 curves .* no more than 8"),
    ],
)
def test_what_has_no_singular_values_is_refused(spectra, error, message):
    with pytest.raises(error, match=message):
        draw.singular_values(spectra)


# --- training curves -----------------------------------------------------------------------------


def test_the_curves_are_the_history():
    runs = {"dense": history(1.0, 0.5, 0.1), "M = 2": history(2.0, 1.5)}
    left, right = draw.training_curves(runs, classes=100).axes
    for label, run in runs.items():
        loss, accuracy = curves(left)[label], curves(right)[label]
        np.testing.assert_array_equal(loss.get_xdata(), [entry["epoch"] for entry in run])
        np.testing.assert_array_equal(loss.get_ydata(), [entry["loss"] for entry in run])
        np.testing.assert_allclose(
            accuracy.get_ydata(), [100 * entry["validation_accuracy"] for entry in run]
        )
    chance = curves(left)["chance: ln 100 = 4.61"]
    np.testing.assert_allclose(chance.get_ydata(), 4.605170185988092)


@pytest.mark.parametrize(
    ("losses", "scale"), [((2.0, 0.1), "log"), ((2.0, 1.0), "linear"), ((2.0, 0.0), "linear")]
)
def test_the_loss_is_logarithmic_where_it_falls_far(losses, scale):
    left, right = draw.training_curves({"run": history(*losses)}).axes
    assert (left.get_yscale(), right.get_yscale()) == (scale, "linear")


def test_a_legend_under_both_panels_names_every_curve():
    figure = draw.training_curves({"dense": history(1.0), "M = 1": history(2.0)})
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["chance: ln 10 = 2.30", "dense", "M = 1"]


def test_curves_differ_in_more_than_colour():
    assert len({marker for _, _, marker in SERIES}) == len(SERIES)
    assert len({colour for colour, _, _ in SERIES}) == len(SERIES)
    lines = list(
        curves(draw.singular_values({str(k): np.eye(2) for k in range(8)}).axes[0]).values()
    )
    assert len({line.get_marker() for line in lines}) == 8


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ({}, "none in all"),
        ({"dense": history(1.0), "M = 1": []}, r"none in \['M = 1'\]"),
    ],
)
def test_a_run_without_an_epoch_is_refused(runs, message):
    with pytest.raises(ShapeError, match=message):
        draw.training_curves(runs)


# --- images --------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3, 5, 4), (3, 1, 5, 4)])
def test_digits_are_ink_on_paper_with_a_caption_each(rng, shape):
    images = rng.random(shape)
    figure = draw.digits(images, ["one", "two", "three"])
    assert [axes.get_title() for axes in figure.axes] == ["one", "two", "three"]
    for image, expected in zip(images_of(figure), images.reshape(3, 5, 4)):
        np.testing.assert_array_equal(image.get_array(), expected)
        assert image.get_clim() == (0, 1)
        assert to_hex(image.cmap(0.0)) == "#ffffff"


def test_colour_images_keep_their_colours(rng):
    images = rng.random((2, 3, 5, 4))
    shown = images_of(draw.digits(images, ["deer", "frog"]))
    for image, expected in zip(shown, images):
        assert image.get_array().shape == (5, 4, 3)
        np.testing.assert_array_equal(image.get_array()[1, 2], expected[:, 1, 2])


@pytest.mark.parametrize(
    ("count", "grid"), [(1, (1, 1)), (5, (1, 5)), (8, (2, 4)), (11, (2, 6)), (25, (5, 5))]
)
def test_a_gallery_leaves_few_places_empty(count, grid):
    places = draw.digits(np.zeros((count, 2, 2)), ["x"] * count).axes[0].get_gridspec()
    assert (places.nrows, places.ncols) == grid


@pytest.mark.parametrize(
    ("shape", "captions", "message"),
    [
        ((28, 28), ["a"], r"takes \(n, h, w\).* \(28, 28\)"),
        ((2, 2, 4, 4), ["a", "b"], r"\(2, 2, 4, 4\)"),
        ((2, 4, 4), ["a"], "2 images, 1 captions"),
        ((0, 4, 4), [], "0 images, 0 captions"),
    ],
)
def test_images_that_cannot_be_shown_are_refused(shape, captions, message):
    with pytest.raises(ShapeError, match=message):
        draw.digits(np.zeros(shape), captions)


# --- all pictures --------------------------------------------------------------------------------


def pictures():
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(16, 784))
    for name in WALLS:
        yield f"wall, {name}", lambda name=name: draw.brick_wall(wall(name))
    trio = {"dense": matrix, "M = 2, fitted": 0.1 * matrix, "M = 2, fine-tuned": 2 * matrix}
    yield "weights", lambda: draw.weights(trio)
    yield "weights and images", lambda: draw.weights(trio, image_shape=(28, 28))
    yield "one weight and images", lambda: draw.weights({"a": matrix}, image_shape=(28, 28))
    eight = {f"a rather long name {k}": rng.normal(size=(64, 64)) for k in range(8)}
    yield "spectra", lambda: draw.singular_values(eight)
    run = history(*np.geomspace(2.3, 0.01, 40))
    yield "curves", lambda: draw.training_curves(dict.fromkeys(eight, run))
    yield "one epoch", lambda: draw.training_curves({"dense": history(1.0)})
    drops = {f"conv{k}_{k}": 0.01 * k - 0.02 for k in range(16)}
    yield "sensitivity", lambda: draw.sensitivity(drops)
    yield "one layer", lambda: draw.sensitivity({"fc1": 0.5})
    yield "digits", lambda: draw.digits(rng.random((25, 28, 28)), ["7, read as 1"] * 25)
    long = ["automobile, read as automobile"] * 7
    yield "colours", lambda: draw.digits(rng.random((7, 3, 32, 32)), long)


PICTURES = dict(pictures())


@pytest.mark.parametrize("name", PICTURES)
def test_words_neither_overlap_nor_leave_the_picture(name, monkeypatch):
    extents = {}
    draw_text = Text.draw

    def draw_and_note(text, renderer):  # ticks beyond the axes have labels that are never drawn
        if text.get_text() and text.get_visible():
            extents[text] = text.get_window_extent(renderer)
        draw_text(text, renderer)

    figure = PICTURES[name]()
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # the first pass finds the layout
    monkeypatch.setattr(Text, "draw", draw_and_note)
    canvas.draw()
    assert extents
    frame = figure.bbox
    for k, (text, box) in enumerate(extents.items()):
        inside = box.x0 >= 0 and box.y0 >= 0 and box.x1 <= frame.x1 and box.y1 <= frame.y1
        assert inside, f"{text.get_text()!r} leaves the picture"
        for other, place in list(extents.items())[:k]:
            assert not box.overlaps(place), f"{text.get_text()!r} on {other.get_text()!r}"


@pytest.mark.parametrize("name", PICTURES)
def test_every_picture_is_described_in_words(name):
    label = PICTURES[name]().get_label()
    assert len(label) > 20
    assert "\n" not in label


def test_a_saved_picture_is_a_png_of_150_dots_an_inch_that_carries_its_description(tmp_path):
    figure = draw.brick_wall(ta.ADTN((4, 4)))
    draw.save(figure, tmp_path / "wall.image")
    with Image.open(tmp_path / "wall.image") as image:
        assert image.format == "PNG"
        assert image.size == tuple(int(150 * inches) for inches in figure.get_size_inches())
        assert image.info["dpi"] == pytest.approx((150, 150), abs=0.1)
        assert image.info["Description"] == figure.get_label()


def test_a_notebook_gets_the_image_and_its_description():
    figure = draw.singular_values({"dense": np.eye(3)})
    data, about = figure._repr_png_()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert about == {"alt": "Singular values relative to the largest; dense: rank 3."}


def run(code):
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(ta.__file__).parents[1],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_drawing_opens_no_window_and_changes_no_setting(tmp_path):
    out = run(f"""
import sys, matplotlib, numpy as np, tinyadtn as ta
from tinyadtn import draw
# Asking rcParams itself for the backend would import pyplot.
before = dict(dict.items(matplotlib.rcParams))
history = [{{"epoch": 1, "loss": 1.0, "validation_accuracy": 0.5}}]
for k, figure in enumerate([
    draw.brick_wall(ta.ADTN((4, 4))),
    draw.weights({{"a": np.eye(4)}}, image_shape=(2, 2)),
    draw.singular_values({{"a": np.eye(4)}}),
    draw.training_curves({{"a": history}}),
    draw.digits(np.zeros((2, 3, 3)), ["a", "b"]),
]):
    draw.save(figure, {str(tmp_path)!r} + f"/{{k}}.png")
print("matplotlib.pyplot" in sys.modules, dict(dict.items(matplotlib.rcParams)) == before)
""")
    assert out.split() == ["False", "True"]
    assert len(list(tmp_path.iterdir())) == 5


def test_without_matplotlib_the_module_loads_and_a_picture_says_what_to_install():
    out = run("""
import sys
sys.modules["matplotlib"] = sys.modules["matplotlib.figure"] = None
import tinyadtn as ta
from tinyadtn import draw
try:
    draw.brick_wall(ta.ADTN((4, 4)))
except ImportError as error:
    print(error)
""")
    assert out.strip() == "pictures need Matplotlib: pip install matplotlib pillow"


def test_a_picture_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    import os

    path = tmp_path / "p.png"
    draw.save(draw.brick_wall(wall("one gate")), path)
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        draw.save(draw.brick_wall(wall("one layer")), path)
    assert caught.value.filename == str(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("given", [np.ones((4, 4)), [np.ones((4, 4))], None, "fc1"])
def test_what_has_no_labels_is_refused_in_a_sentence(given):
    for name in ("weights", "singular_values", "tradeoff", "training_curves", "sensitivity"):
        with pytest.raises(TypeError, match=f"{name} needs a dict with a label for each, .* got"):
            getattr(draw, name)(given)
    with pytest.raises(TinyADTNError, match="only an ADTN has sites to cut between, got"):
        draw.cut_spectrum(given)
