"""Verdicts: sentences for every kind of answer, and the smallest counterexample."""

import numpy as np
import pytest

from tinyadtn.teach.exercises import Exercise, parts
from tinyadtn.teach.judging import Verdict, judge, short, size_of


def exercise(cases, **options):
    return Exercise("tested", cases, (), (), 1e-9, **options)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (False, "For a: right True, yours False."),
        (np.False_, "For a: right True, yours False."),
        (0, "For a: right True, yours 0."),
        ("True", "For a: True or False is expected, not 'True' (str)."),
        (None, "Write it in the cell above and run both again."),
    ],
)
def test_yes_or_no_is_compared_without_figures(answer, message):
    found = exercise(lambda answer, rng: iter([("a", True, answer)]))
    assert judge(found, answer, 0).message == message


def test_yes_or_no_is_right():
    found = exercise(lambda answer, rng: iter([("a", True, answer)]))
    assert judge(found, True, 0).state == "right"


def test_a_property_that_fails_shows_what_was_returned():
    def cases(answer, rng):
        yield "3 numbers: in order", True, answer([3, 1, 2]) == [1, 2, 3]

    verdict = judge(exercise(cases), lambda numbers: numbers[::-1], 0)
    expected = "Not fulfilled: 3 numbers: in order. Your function returned [2, 1, 3]."
    assert verdict.message == expected

    not_a_function = exercise(lambda answer, rng: iter([("above 2", True, answer > 2)]))
    assert judge(not_a_function, 1, 0).message == "Not fulfilled: above 2. Your answer is 1."
    large = exercise(lambda answer, rng: iter([("its sum is 3", True, bool(answer.sum() == 3))]))
    assert judge(large, np.arange(1e3), 0).message == "Not fulfilled: its sum is 3."


def test_a_small_difference_is_seen():
    found = exercise(lambda answer, rng: iter([("a third", 1 / 3, answer())]))
    message = judge(found, lambda: 0.33333334, 0).message
    assert "right 0.3333333333333333, yours 0.33333334;" in message


@pytest.mark.parametrize(
    ("right", "got", "message"),
    [
        (2.5, 3.5, "For a: right 2.5, yours 3.5."),  # the difference is seen
        (np.array([4, 4, 7]), (4, 5, 7), "For a: right (4, 4, 7), yours (4, 5, 7)."),
        (np.array([4, 4, 7, 1]), (4, 5, 7, 1), "For a: at [1] right 4, yours 5; the largest "),
    ],
)
def test_a_few_numbers_are_shown_side_by_side(right, got, message):
    found = exercise(lambda answer, rng: iter([("a", right, np.array(answer()))]))
    assert judge(found, lambda: got, 0).message.startswith(message)


def test_a_check_need_not_expect_that_nothing_is_returned():
    found = exercise(lambda answer, rng: iter([("the sum", 3, sum(answer(2)))]))
    assert judge(found, lambda x: None, 0) == Verdict("not done yet", "It returns None.")


def test_a_list_is_not_an_array():
    found = exercise(lambda answer, rng: iter([("a", np.zeros(2), answer())]))
    assert judge(found, lambda: np.zeros(2), 0).state == "right"
    assert judge(found, lambda: [0, 0], 0).message == "For a: an array is expected, not a list."


def test_an_error_shows_what_the_answer_was_called_with():
    def cases(answer, rng):
        yield "a reshape", np.zeros(1), answer(np.zeros(2), (1,))

    message = judge(exercise(cases), lambda array, shape: array.reshape(shape), 0).message
    assert "cannot reshape array of size 2" in message
    assert message.endswith(" It was called with an array (2,), (1,).")
    lists = exercise(lambda answer, rng: iter([("a", 1, answer([9.5, 2], [0.1] * 20))]))
    message = judge(lists, lambda a, b: 1 / 0, 0).message
    assert message.endswith(" It was called with [9.5, 2], a list of 20 values.")
    other = judge(exercise(lambda f, rng: iter([("a", 1, f({}))])), lambda table: 1 / 0, 0)
    assert "It was called with" not in other.message
    indirect = exercise(cases, ask=lambda answer, *arguments: answer(*arguments))
    message = judge(indirect, lambda array, shape: array.reshape(shape), 0).message
    assert message.startswith("It raises") and "It was called with" not in message


def test_a_function_that_answers_yes_or_no_is_compared():
    found = exercise(lambda answer, rng: iter([("5", True, answer(5))]))
    assert judge(found, lambda x: x > 9, 0).message == "For 5: right True, yours False."


def test_a_value_of_another_form_is_answered_in_a_sentence():
    found = exercise(lambda answer, rng: iter([("the sum", 3, sum(int(k) for k in answer))]))
    expected = "The answer 'abc' has another form than the exercise asks for."
    assert judge(found, "abc", 0) == Verdict("wrong", expected)
    assert judge(found, [1, 2], 0).message == "1 case, no difference."


@pytest.mark.parametrize(
    ("answer", "state", "message"),
    [
        ("goes uphill", "right", "1 case, no difference"),
        ("uphill", "wrong", "For a: right 'goes uphill', yours 'uphill'."),
        (3, "wrong", "For a: right 'goes uphill', yours 3."),
    ],
)
def test_words_are_compared_as_words(answer, state, message):
    verdict = judge(exercise(lambda answer, rng: iter([("a", "goes uphill", answer)])), answer, 0)
    assert verdict.state == state and verdict.message.startswith(message)


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (np.ones(3), "2 things are expected, not one ndarray."),
        (1.0, "2 things are expected, not one float."),
        ((1.0, 2.0, 3.0), "2 things are expected; there are 3."),
    ],
)
def test_too_few_or_too_many_results_are_counted(returned, said):
    def cases(answer, rng):
        value, slope = parts(answer(), 2)
        yield "a", 1.0, value
        yield "b", 2.0, slope

    found = exercise(cases)
    assert judge(found, lambda: (1.0, 2.0), 0).state == "right"
    assert judge(found, lambda: None, 0).state == "not done yet"
    assert judge(found, lambda: returned, 0) == Verdict("wrong", said)


def test_an_answer_that_is_not_a_function_may_be_half_done():
    def cases(answer, rng):
        for name in ("run A", "run B"):
            yield name, True, None if answer[name] is None else answer[name] == "x"

    half = judge(exercise(cases), {"run A": "x", "run B": None}, 0)
    assert half == Verdict("not done yet", "run B: no answer yet.", 1)


def test_a_check_that_tries_nothing_accepts_nothing():
    assert judge(exercise(lambda answer, rng: iter(())), abs, 0).state == "wrong"


def root(x):
    return x**0.5


def roots(answer, rng):
    for x in (9.0, 400.0, 4.0, 0.25, 16.0):
        yield f"x = {x}", root(x), answer(x)


def test_a_missing_return_is_named():
    verdict = judge(exercise(roots), lambda x: root(x) if x > 5 else None, 0)
    message = "It returns None. Is a return missing? It was called with 4."
    assert verdict == Verdict("wrong", message, 2)


def test_the_counterexample_is_the_smallest():
    wrong_below_10 = lambda x: x if x < 10 else root(x)  # noqa: E731
    assert judge(exercise(roots), wrong_below_10, 0).message.startswith("For x = 9.0:")
    assert judge(exercise(roots), wrong_below_10, 0, root).message.startswith("For x = 0.25:")


def test_larger_cases_are_not_tried_once_one_has_failed():
    asked = []

    def answer(x):
        asked.append(x)
        return x

    judge(exercise(roots), answer, 0, root)
    assert asked == [9.0, 4.0, 0.25]


def test_an_answer_cannot_change_what_it_is_compared_with():
    def cases(answer, rng):
        x = rng.normal(size=3)
        yield "the sum", lambda: x.sum(), answer(x)

    def compared_afterwards(answer, rng):
        return ((tried, right(), got) for tried, right, got in cases(answer, rng))

    def spoils(x):
        x[:] = 0
        return 0.0

    assert judge(exercise(compared_afterwards), np.sum, 0).state == "right"
    verdict = judge(exercise(compared_afterwards), spoils, 0)
    assert verdict == Verdict("wrong", "It changes an array that it is given. Return a new array.")

    nested = exercise(lambda answer, rng: iter([("a", 3.0, answer([np.ones(3), {"b": 2.0}]))]))
    assert judge(nested, lambda parts: parts[0].sum(), 0).state == "right"


def test_an_error_on_the_way_to_a_smaller_counterexample_hides_none():
    def answer(x):
        return x if x > 5 else 1 / 0

    assert judge(exercise(roots), answer, 0, root).message.startswith("For x = 9.0:")


def test_a_result_that_the_check_cannot_use_is_shown():
    def cases(answer, rng):
        yield "the length", 3, len(answer(3))

    verdict = judge(exercise(cases), lambda n: 3.5, 0)
    assert verdict.message.startswith("It returned 3.5, which cannot be checked: TypeError: object")


def test_an_exercise_may_ask_for_plain_values():
    class Box:
        def __init__(self, value):
            self.value = value

    def ask(answer, x):
        return answer(Box(x)).value

    found = exercise(roots, ask=ask)
    assert judge(found, lambda box: Box(root(box.value)), 0).state == "right"
    wrong = judge(found, lambda box: box, 0, lambda box: Box(root(box.value)))
    assert wrong.message.startswith("For x = 0.25:")
    assert judge(found, None, 0).state == "not done yet"


def test_sizes_order_arguments():
    ordered = [0.5, 3, [1, 1], np.ones(3), {"a": np.ones((2, 2))}]
    assert sorted(ordered, key=size_of) == ordered


@pytest.mark.parametrize(
    ("value", "text"),
    [(1234567, "1,234,567"), (0.1 + 0.2, "0.3"), ("two", "two"), (float("nan"), "nan")],
)
def test_values_are_printed_short(value, text):
    assert short(value) == text
    assert len(short("x" * 1000)) < 300
