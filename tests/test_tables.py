"""The tables are whole: nothing public without a row, no row without what a row must have.

Whoever adds an op, an encoding, a wiring or an activation is told here what is still missing.
"""

import ast
import inspect
from pathlib import Path

import encoding_refusals
import encoding_table
import op_refusals
import op_table
import pytest
import test_every_encoding
import test_layouts
import test_ops

import tinyadtn as ta
from tinyadtn.compression.configure import ENCODINGS
from tinyadtn.encodings.encoding import Encoding
from tinyadtn.tensor_networks.gates import ACTIVATIONS
from tinyadtn.tensor_networks.orders import ORDERS
from tinyadtn.tensor_networks.starts import STARTS
from tinyadtn.tensor_networks.wirings import WIRINGS

# Public functions that are no ops: they give no tensor that a gradient flows through.
NOT_OPS = {
    *("accuracy", "batches", "channel_statistics", "check_vjp", "compress", "crop_and_flip"),
    *("decoded", "decompress", "evaluate", "features", "fit", "freeze", "load", "load_data", "op"),
    "load_picture",
    *("independent_numbers", "jacobian_spectrum"),
    *("from_torchvision", "load_from_torch", "load_safetensors", "save_onnx", "save_safetensors"),
    *("predict", "report", "save", "save_data", "save_features", "sensitivity", "suggest"),
    *("summary", "sweep", "to_device", "to_torch", "to_torch_state", "train"),
}


def public_functions():
    return {
        name
        for name, thing in vars(ta).items()
        if inspect.isfunction(thing) and not name.startswith("_")
    }


# --- ops -----------------------------------------------------------------------------------------


def test_every_public_function_is_an_op_with_a_row_or_said_to_be_none():
    rows = {row.name for row in op_table.ROWS}
    assert public_functions() - rows - NOT_OPS == set(), "new: a row in op_table, or NOT_OPS"
    assert rows - public_functions() == set(), "rows of what is not public"
    assert not rows & NOT_OPS


def test_every_op_refuses_something():
    assert {row.name for row in op_table.ROWS} == {case[0] for case in op_refusals.REFUSED}


def test_no_two_rows_have_one_name():
    assert len({str(row) for row in op_table.ROWS}) == len(op_table.ROWS)


def test_every_row_takes_a_zero_or_says_why_it_takes_none():
    without = {str(row) for row in op_table.ROWS if row.empty is None}
    assert without == set(op_table.NO_ZERO_SIZE)


# A generic property runs over every row; where one asks for more, the rows left out are these.
LEFT_OUT = {
    "test_adjoint_identity": lambda row: row.kind in ("smooth", "piecewise"),
    "test_mixed_dtypes_promote_and_each_gradient_is_cast_back": lambda row: len(row.shapes) == 1,
    "test_same_array_in_both_places": lambda row: (
        row.shapes not in (op_table.BOTH, op_table.STRETCHED)
    ),
    "test_zero_size_arrays": lambda row: row.empty is None,
    "test_zero_size": lambda row: row.empty is None,
    # encodings
    "test_gradients_are_right": lambda row: row.kind in ("fixed", "rounded"),
    "test_a_step_changes_the_weight_in_its_number_type": lambda row: row.kind == "fixed",
    "test_the_start_is_spread_like_a_dense_one": lambda row: (
        row.kind == "fixed" or isinstance(row.make(), ta.SharedWeight)
    ),
    "test_a_target_of_another_shape_is_refused": lambda row: not hasattr(row.make(), "fit"),
    "test_fit_brings_it_closer_and_returns_the_relative_errors": lambda row: (
        not hasattr(row.make(), "fit")
    ),
}


def generic_properties(module):
    """Every test of the module that takes a row, and the rows that it is run on."""
    for name, test in vars(module).items():
        if not name.startswith("test") or not inspect.isfunction(test):
            continue
        for mark in getattr(test, "pytestmark", []):
            if mark.name == "parametrize" and mark.args[0] == "row":
                yield name, test, mark.args[1]


@pytest.mark.parametrize(
    ("module", "rows", "fewest"),
    [
        (test_ops, op_table.ROWS, 12),
        (test_layouts, op_table.ROWS, 1),
        ("test_torch", op_table.ROWS, 3),
        (test_every_encoding, encoding_table.ROWS, 16),
    ],
    ids=["ops", "layouts", "torch", "encodings"],
)
def test_no_generic_property_leaves_a_row_out(module, rows, fewest):
    if module == "test_torch":
        pytest.importorskip("torch", reason="nothing is compared with torch here")
        import test_torch as module
    found = list(generic_properties(module))
    assert len(found) >= fewest
    for name, test, run_on in found:
        left_out = LEFT_OUT.get(name, lambda row: False)
        assert [str(r) for r in run_on] == [str(r) for r in rows if not left_out(r)], name
        assert "pytest.skip" not in inspect.getsource(test), (
            f"{name} skips rows where nobody sees it"
        )


# --- encodings -----------------------------------------------------------------------------------


def test_every_encoding_has_rows_and_refusals_and_can_be_rebuilt():
    public = {
        thing.__name__
        for thing in vars(ta).values()
        if inspect.isclass(thing) and issubclass(thing, Encoding) and thing is not Encoding
    }
    assert public == {kind.__name__ for kind in ENCODINGS.values()}
    assert {type(row.make()).__name__ for row in encoding_table.ROWS} == public
    assert {case[0] for case in encoding_refusals.REFUSED} == public


@pytest.mark.parametrize(
    ("knob", "choices"),
    [
        ("wiring", set(WIRINGS)),
        ("activation", set(ACTIVATIONS)),
        ("start", set(STARTS)),
        ("order", set(ORDERS)),
        ("site_dim", {2, 4}),
        ("depth", {1, 2}),
    ],
)
def test_every_choice_of_an_adtn_is_in_some_row(knob, choices):
    walls = [row.make() for row in encoding_table.ROWS if row.label.startswith("ADTN")]
    used = {repr(w.config[knob]) for w in walls if isinstance(w, ta.ADTN)}
    assert {repr(choice) for choice in choices} <= used


# --- the tables' tests can fail ------------------------------------------------------------------


def test_a_new_op_without_a_row_is_noticed(monkeypatch):
    monkeypatch.setattr(ta, "cube", ta.op(lambda a: (a**3, lambda g: g)), raising=False)
    with pytest.raises(AssertionError, match="cube"):
        test_every_public_function_is_an_op_with_a_row_or_said_to_be_none()


def test_a_row_without_error_cases_is_noticed(monkeypatch):
    kept = [case for case in op_refusals.REFUSED if case[0] != "relu"]
    monkeypatch.setattr(op_refusals, "REFUSED", kept)
    with pytest.raises(AssertionError, match="relu"):
        test_every_op_refuses_something()


def test_a_property_that_passes_over_a_row_is_noticed(monkeypatch):
    @pytest.mark.parametrize("row", op_table.ROWS[1:], ids=str)
    def test_anything(row):
        pass

    monkeypatch.setattr(test_ops, "test_anything", test_anything, raising=False)
    with pytest.raises(AssertionError, match="test_anything"):
        test_no_generic_property_leaves_a_row_out(test_ops, op_table.ROWS, 1)


def test_an_encoding_without_a_row_is_noticed(monkeypatch):
    monkeypatch.setattr(ta, "Zip", type("Zip", (Encoding,), {}), raising=False)
    with pytest.raises(AssertionError, match="Zip"):
        test_every_encoding_has_rows_and_refusals_and_can_be_rebuilt()


# --- a tolerance is what it says -----------------------------------------------------------------


def silent_tolerances(source):
    """Lines of ``assert_allclose`` with an atol and no rtol: NumPy then adds 1e-7 of the value."""
    for call in ast.walk(ast.parse(source)):
        if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("assert_allclose"):
            said = {keyword.arg for keyword in call.keywords}
            if "atol" in said and not {"rtol", None} & said and len(call.args) < 3:
                yield call.lineno


def test_no_tolerance_is_looser_than_it_looks():
    files = sorted(Path(__file__).parent.rglob("*.py"))
    assert len(files) > 50
    found = [f"{f.name}:{line}" for f in files for line in silent_tolerances(f.read_text())]
    assert found == [], "say rtol=0 where atol alone is meant"


def test_a_silent_tolerance_is_noticed():
    assert list(silent_tolerances("np.testing.assert_allclose(a, b, atol=1e-9)")) == [1]
    assert list(silent_tolerances("np.testing.assert_allclose(a, b, rtol=0, atol=1e-9)")) == []
