"""The progress bar changes nothing and shows what it should."""

import io
import re
import sys
from contextlib import contextmanager, redirect_stderr

import pytest

from tinyadtn.progress import progress


@contextmanager
def watched(*, terminal=True):
    """What is written to stderr meanwhile."""
    stream = io.StringIO()
    stream.isatty = lambda: terminal
    with redirect_stderr(stream):
        yield stream


@pytest.mark.parametrize("show", [True, False])
@pytest.mark.parametrize("expected", [[], [1], list(range(100)), [None, 0, False]])
def test_items_come_through_unchanged(expected, show):
    with watched():
        assert list(progress(expected, show=show)) == expected
        assert list(progress(iter(expected), show=show)) == expected


def test_label_count_and_note_are_shown():
    with watched() as stderr:
        list(progress([0.5, 0.25], label="epoch 3", note=lambda loss: f"loss {loss}"))
    shown = stderr.getvalue()
    assert "epoch 3" in shown
    assert "2/2" in shown
    assert "loss 0.25" in shown


@pytest.mark.parametrize("taken", [1, 2, 3])
def test_the_count_is_that_of_the_item_in_the_note(taken):
    """Whenever one looks: also while the last item taken is still in work."""
    with watched() as stderr:
        bar = progress(iter([1, 2, 3]), total=3, note=lambda item: f"item {item}")
        for _ in range(taken):
            next(bar)
        bar.close()
    assert re.search(rf"{taken}/3 .*item {taken}\S*\s*$", stderr.getvalue())


def test_the_bar_begins_where_it_is_told_and_ends_full():
    with watched() as stderr:
        list(progress(iter([3, 4]), total=4, initial=2))
    assert "100%" in stderr.getvalue() and "4/4" in stderr.getvalue()


def test_total_is_for_items_that_cannot_be_counted():
    with watched() as stderr:
        list(progress(iter([1, 2, 3]), total=3))
    assert "3/3" in stderr.getvalue()


def test_silence_is_silent_and_asks_for_no_note():
    def note(item):
        raise AssertionError("a note that nobody sees")

    with watched() as stderr:
        assert list(progress([1, 2], label="quiet", note=note, show=False)) == [1, 2]
    assert stderr.getvalue() == ""


def test_without_tqdm_the_items_still_come(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with watched() as stderr:
        assert list(progress([1, 2, 3], label="x")) == [1, 2, 3]
    assert stderr.getvalue() == ""


def test_a_log_file_gets_few_lines():
    with watched(terminal=False) as log:
        list(progress(range(10_000)))
    assert 1 <= log.getvalue().count("\r") <= 5


@pytest.mark.parametrize("show", [True, False])
def test_items_are_taken_one_at_a_time(show):
    taken = []

    def items():
        for item in range(5):
            taken.append(item)
            yield item

    with watched():
        for item in progress(items(), show=show):
            assert taken == list(range(item + 1))


def test_leaving_early_ends_the_line():
    with watched() as stderr:
        bar = progress(range(10), label="early")
        next(bar)
        bar.close()
    assert stderr.getvalue().endswith("\n")


def test_an_error_in_the_items_comes_through_and_ends_the_line():
    def failing():
        yield 1
        raise ValueError("the loss is not finite")

    with watched() as stderr, pytest.raises(ValueError, match="not finite"):
        list(progress(failing()))
    assert stderr.getvalue().endswith("\n")


def test_without_stderr_there_is_no_bar_and_no_error(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    assert list(progress([1, 2, 3])) == [1, 2, 3]


def test_a_full_disk_behind_stderr_does_not_end_the_loop():
    class Full(io.StringIO):
        def write(self, text):
            raise OSError(28, "No space left on device")

    with redirect_stderr(Full()):
        assert list(progress(range(5), note=str)) == list(range(5))


@pytest.mark.parametrize("kind", ["closed", "gone", "an object of the user's"])
def test_a_stderr_that_is_not_a_terminal_in_any_way_does_not_end_the_loop(kind):
    stderr = io.StringIO()
    if kind == "closed":
        stderr.close()
    elif kind == "gone":

        def gone():
            raise OSError(5, "Input/output error")

        stderr.isatty = gone
    else:
        stderr = type("Log", (), {"write": lambda self, text: len(text), "flush": lambda self: 0})()
    with redirect_stderr(stderr):
        assert list(progress(range(5), note=str)) == list(range(5))
