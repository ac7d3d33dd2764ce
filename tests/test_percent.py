"""Notebook sources: the three kinds of cell, and what is no source."""

import pytest

from tinyadtn.errors import DataFileError
from tinyadtn.teach.percent import Cell, parse_cells

SOURCE = """\
# %% [markdown]
# # A title
#
# Text, with `code`.

# %%
x = 1

y = 2

# %% solution: the sum
def add(x, y):
    return x + y
"""


def test_the_three_kinds():
    assert parse_cells(SOURCE) == [
        Cell("text", "# A title\n\nText, with `code`."),
        Cell("code", "x = 1\n\ny = 2"),
        Cell("solution", "def add(x, y):\n    return x + y", "the sum"),
    ]


def test_an_empty_source_has_no_cells():
    assert parse_cells("\n\n") == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n# %%\n", "line 1: text before"),
        ("# %%\nx = 1\n# %% [raw]\n", "line 3: '# %% \\[raw\\]' marks no kind"),
        ("# %%markdown\n", "marks no kind"),
        ("# %% [markdown]\nx = 1\n", "every line is a comment, not 'x = 1'"),
        ("# %% [markdown]\n#x\n", "every line is a comment"),
    ],
)
def test_what_is_no_source_is_refused(text, message):
    with pytest.raises(DataFileError, match=message):
        parse_cells(text)
