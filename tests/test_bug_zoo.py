"""The zoo of planted bugs is sound: ``make test-deep`` lets them out, here they are counted.

A bug whose place is gone, or whose killers are, would be one that nobody notices.
"""

import ast
from pathlib import Path

import bug_zoo
import pytest
from bug_zoo import ROOT, ZOO, Bug

TEXTS = bug_zoo.sources(ROOT)


@pytest.mark.parametrize("planted", ZOO, ids=lambda b: b.what)
def test_a_bug_has_one_place_and_is_python_there(planted):
    file = bug_zoo.place(planted, TEXTS)
    assert planted.new != planted.old
    ast.parse(TEXTS[file].replace(planted.old, planted.new))


@pytest.mark.parametrize("planted", ZOO, ids=lambda b: b.what)
def test_the_killers_of_a_bug_are_there(planted):
    assert planted.killers
    for killer in planted.killers:
        file, _, name = killer.partition("::")
        source = (Path(__file__).parent / f"{file}.py").read_text()
        assert not name or f"def {name}(" in source or f"\n{name} = " in source


def test_there_are_enough_and_no_two_alike():
    assert len(ZOO) >= 25
    assert len({b.what for b in ZOO}) == len({(b.old, b.new) for b in ZOO}) == len(ZOO)


def test_a_place_that_is_gone_or_ambiguous_is_told():
    gone = Bug("gone", "this line was never written", "", ("test_engine",))
    with pytest.raises(LookupError, match=r"0 times \(nowhere\); plant it anew"):
        bug_zoo.place(gone, TEXTS)
    twice = Bug("twice", "import annotations", "", ("test_engine",))
    with pytest.raises(LookupError, match=r"engine\.py"):
        bug_zoo.place(twice, TEXTS)
