"""The measured runs that notebooks read: they are there, also where only a wheel is installed."""

import re

import pytest
from course_rules import NOTEBOOKS, SOURCES, cells_of

from tinyadtn.course.exercises.ex11_when_it_improves import _verdict
from tinyadtn.course.results import FOLDER, SHORT_NAMES, measured
from tinyadtn.errors import DataFileError


def test_a_wheel_carries_every_study_that_a_notebook_reads():
    code = "\n".join(c.source for s in SOURCES for c in cells_of(s) if c.kind != "text")
    read = {f"{study}.jsonl" for study in re.findall(r'measured\("(\w+)"', code)} | {"trained.json"}
    assert len(read) > 3 and all((FOLDER / name).exists() for name in read)
    packaged = (NOTEBOOKS.parent / "pyproject.toml").read_text(encoding="utf-8")
    assert set(re.findall(r'"results/([\w.]+)"', packaged)) == read


def test_layers_are_added_and_an_unknown_row_is_named():
    one, percents = measured("lenet5_mnist", "ADTN M=1", ("fc1",))
    both, _ = measured("lenet5_mnist", "ADTN M=1", ("fc1", "fc2"))
    assert 0 < one < both and all(90 < percent < 100 for percent in percents)
    with pytest.raises(DataFileError, match=r"no row 'ADTN M=99'; it has: .*ADTN M=1"):
        measured("lenet5_mnist", "ADTN M=99")


def test_every_short_name_is_a_row():
    for study, names in SHORT_NAMES.items():
        for short, label in names.items():
            assert measured(study, short, ()) == measured(study, label, ())


@pytest.mark.parametrize(
    ("study", "better", "worse"),
    [
        ("lenet5_mnist", "dense", ["TT, 2,860"]),
        ("lenet5_mnist", "TT, 2,860", ["ADTN, 2,192", "ADTN, 848"]),
        ("lenet5_mnist", "ADTN, 2,192", ["frozen"]),
        ("lenet5_mnist", "ADTN, 848", ["frozen"]),
        ("fc1_budgets", "dense", ["TT D=4", "larger sites", "ADTN M=4"]),
        ("fc1_budgets", "TT D=4", ["ADTN M=4", "frozen"]),
        ("fc1_budgets", "larger sites", ["ADTN M=4", "frozen"]),
        ("fc1_budgets", "ADTN M=4", ["frozen"]),
        ("vgg16_heads", "ADTN, 424", ["frozen, untuned"]),
    ],
)
def test_what_notebook_11_calls_better_is_better(study, better, worse):
    for other in worse:
        assert _verdict(measured(study, better, ())[1], measured(study, other, ())[1]) == 1


def test_what_notebook_11_calls_not_different_is_not():
    for study, one, other in (
        ("lenet5_mnist", "ADTN, 2,192", "ADTN, 848"),
        ("lenet5_mnist", "ADTN, 848", "TT, 824"),
        ("fc1_budgets", "TT D=4", "larger sites"),
        ("vgg16_heads", "ADTN, 424", "frozen"),
        ("vgg16_heads", "ADTN, 424", "removed"),
    ):
        assert _verdict(measured(study, one, ())[1], measured(study, other, ())[1]) == 0
