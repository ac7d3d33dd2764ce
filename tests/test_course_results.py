"""The measured runs that notebooks read: they are there, also where only a wheel is installed."""

import re

import pytest
from course_rules import NOTEBOOKS, SOURCES, cells_of

from tinyadtn.course.results import FOLDER, measured
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
