"""The guard: an array that a live graph needs cannot be changed, and is free again afterwards."""

import subprocess
import sys
import threading
import weakref

import numpy as np
import pytest

import tinyadtn as ta
from tinyadtn.autodiff import guard

READ_ONLY = pytest.raises(ValueError, match="read-only")


def leaf(array):
    return ta.Tensor(array, requires_grad=True)


@pytest.mark.parametrize("end", ["backward", "dropped"])
def test_inputs_and_results_are_read_only_while_the_graph_lives(end):
    a, b = np.ones(3), np.ones(3)
    y = leaf(a) * b
    result = y.data
    for array in (a, b, result):
        with READ_ONLY:
            array[0] = 5
    if end == "backward":
        y.backward(np.ones(3))
    del y
    for array in (a, b, result):
        array[0] = 5


def test_without_a_gradient_nothing_is_protected():
    a = np.ones(3)
    y = ta.Tensor(a) * 2
    a[0] = 5
    y.data[0] = 5


def test_an_array_in_several_graphs_is_free_after_the_last():
    a = np.ones(3)
    x = leaf(a)
    first, second, third = x * 2, x * x, ta.exp(x)
    first.backward(np.ones(3))
    with READ_ONLY:
        a[0] = 5
    del second
    with READ_ONLY:
        a[0] = 5
    third.backward(np.ones(3))
    a[0] = 5


def test_a_chain_protects_until_its_last_part_is_gone():
    a = np.ones(3)
    x = leaf(a)
    middle = x * 2
    loss = middle * 3
    loss.backward(np.ones(3))
    del loss
    a[0] = 5
    middle.data[0] = 5


def test_the_owner_of_a_view_is_protected_too():
    whole = np.ones((4, 3))
    y = leaf(whole[1:3]) * 2
    with READ_ONLY:
        whole[2, 0] = 5
    y.backward(np.ones((2, 3)))
    whole[2, 0] = 5


def views_in_one_op(whole, view):
    return leaf(whole) * leaf(view)


def views_in_one_op_reversed(whole, view):
    return leaf(view) * leaf(whole)


def views_in_two_ops(whole, view):
    return (leaf(whole) * 2.0) * leaf(view)


def view_in_an_older_op(whole, view):
    return leaf(view) * 2.0 * leaf(whole)


def view_of_a_view(whole, view):
    return leaf(view[1:2]) * leaf(view) * leaf(whole)


@pytest.mark.parametrize(
    "build",
    [
        views_in_one_op,
        views_in_one_op_reversed,
        views_in_two_ops,
        view_in_an_older_op,
        view_of_a_view,
    ],
    ids=lambda f: f.__name__,
)
@pytest.mark.parametrize("end", ["backward", "dropped"])
def test_an_array_and_its_view_are_both_free_afterwards(build, end):
    whole = np.ones((2, 3))
    view = whole[0]
    y = build(whole, view)
    with READ_ONLY:
        whole[0, 0] = 5
    with READ_ONLY:
        view[0] = 5
    if end == "backward":
        y.backward(np.ones(y.shape))
    del y
    whole[0, 0] = 5
    view[0] = 6


def test_views_in_different_graphs_of_one_buffer():
    """Parameters as views of one flat buffer: each graph frees its own, the buffer comes last."""
    flat = np.ones(6)
    first, second = flat[:3], flat[3:]
    a, b = leaf(first) * 2, leaf(second) * 2
    a.backward(np.ones(3))
    with READ_ONLY:
        flat[0] = 5
    b.backward(np.ones(3))
    for array in (flat, first, second):
        array[0] = 5


def test_what_was_read_only_before_stays_so():
    a = np.ones(3)
    a.flags.writeable = False
    (leaf(a) * 2).backward(np.ones(3))
    assert not a.flags.writeable


def test_a_view_of_what_became_read_only_stays_so():
    whole = np.ones((2, 3))
    view = whole[0]
    whole.flags.writeable = False  # a view that was there before can still be written …
    y = leaf(view) * 2
    y.backward(np.ones(3))
    assert not view.flags.writeable  # … until the guard had it: NumPy does not give that back


def test_stretched_views_and_foreign_buffers():
    buffer = bytearray(np.ones(3).tobytes())
    a = np.frombuffer(buffer)
    wide = np.broadcast_to(a, (2, 3))
    (leaf(wide) * leaf(a)).backward(np.ones((2, 3)))
    a[0] = 5
    assert not wide.flags.writeable and wide[1, 0] == 5


# name: (an option, the op that takes it)
OPTIONS = {
    "index": ([0, 1], lambda x, option: x[option]),
    "index in a tuple": ([0, 1], lambda x, option: x[:, option]),
    "condition": ([True, False, True], lambda x, option: ta.where(option, x, 0.0)),
    "labels": ([0, 1], lambda x, option: ta.softmax_cross_entropy(x, labels=option)),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_arrays_given_as_options_are_protected_too(name):
    values, function = OPTIONS[name]
    option = np.array(values)
    y = function(leaf(np.ones((2, 3))), option)
    with READ_ONLY:
        option[0] = option[1]
    y.backward(np.ones(y.shape))
    option[0] = option[1]


@pytest.mark.parametrize("name", OPTIONS)
def test_a_list_given_as_an_option_may_change_afterwards(name):
    """A list cannot be protected, so the op keeps a copy."""
    values, function = OPTIONS[name]
    grads = []
    for later in (False, True):
        x, option = leaf(np.arange(6.0).reshape(2, 3)), list(values)
        y = function(x, option)
        if later:
            option[0] = option[1]
        y.backward(np.ones(y.shape))
        grads.append(x.grad)
    np.testing.assert_array_equal(*grads)


def test_an_index_given_as_a_tensor_is_protected_too():
    x, index = leaf(np.ones((2, 3))), np.array([0, 1])
    y = x[:, ta.Tensor(index)]
    with READ_ONLY:
        index[0] = 1
    y.backward(np.ones((2, 2)))
    index[0] = 1


def test_unprotected_leaves_arrays_writeable():
    a = np.ones(3)
    with ta.unprotected():
        y = leaf(a) * 2
    a[0] = 5
    y.backward(np.ones(3))
    a[0] = 5


def test_a_graph_made_outside_stays_protected_inside_unprotected():
    a = np.ones(3)
    y = leaf(a) * 2
    with ta.unprotected(), READ_ONLY:
        a[0] = 5
    del y
    a[0] = 5


def test_a_refused_op_protects_nothing():
    a = np.ones(3)
    with pytest.raises(ta.errors.ShapeError):
        leaf(a) @ np.ones((2, 2))
    a[0] = 5


def test_the_guard_keeps_no_array_alive():
    a = np.ones(3)
    y = leaf(a) * 2
    gone = weakref.ref(a)
    del a
    y.backward(np.ones(3))
    assert gone() is None


def test_an_array_in_the_place_of_one_that_is_gone_is_guarded_for_itself():
    """An addition does not need its result, whose place in memory another array may take."""
    y = leaf(np.ones(3)) + 0.0
    place, z = id(y.data), y + 0.0
    del y  # its node lives on behind z, and still has to release what it made read-only
    others = [np.ones(3) for _ in range(100)]
    (array,) = (other for other in others if id(other) == place)
    w = leaf(array) * 2
    with READ_ONLY:
        array[0] = 5
    z.backward(np.ones(3))
    with READ_ONLY:
        array[0] = 5
    w.backward(np.ones(3))
    array[0] = 5


def test_a_result_made_unprotected_is_protected_where_it_is_used():
    with ta.unprotected():
        y = leaf(np.ones(3)) * 2
    z = y * 3
    with READ_ONLY:
        y.data[0] = 5
    del z
    y.data[0] = 5


def test_a_result_whose_node_is_freed_is_protected_where_it_is_used():
    x = leaf(np.ones(3))
    y = x * 2
    y.backward(np.ones(3))
    z = y * x
    with READ_ONLY:
        y.data[0] = 5
    del z
    y.data[0] = 5


def test_the_guard_forgets_every_array():
    before = len(guard._holds)
    whole = np.ones((2, 3))
    for end in ("backward", "dropped"):
        y = leaf(whole) * leaf(whole[0]) * 2.0
        assert len(guard._holds) > before
        if end == "backward":
            y.backward(np.ones((2, 3)))
        del y
        assert len(guard._holds) == before


def test_a_step_of_training_in_place():
    w = leaf(np.ones(3))
    for _ in range(3):
        loss = (w * w).sum()
        loss.backward()
        w.data -= 0.1 * w.grad  # the loss is still there, its graph is not
        w.grad = None
    np.testing.assert_allclose(w.data, 0.8**3)


def test_threads_may_share_an_array():
    shared, interval = np.ones(3), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    trouble = []

    def work():
        try:
            for _ in range(400):
                y = leaf(shared) * 2.0
                assert not shared.flags.writeable
                y.backward(np.ones(3))
        except BaseException as error:
            trouble.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert trouble == []
    assert shared.flags.writeable


@pytest.mark.parametrize("step", ["make a graph", "free a graph"])
def test_one_thread_at_a_time_keeps_the_books(step):
    a, graphs = np.ones(3), []
    x = leaf(a)
    if step == "free a graph":
        graphs.append(x * 2)
    work = graphs.pop if graphs else lambda: graphs.append(x * 2)
    thread = threading.Thread(target=work)
    with guard._lock:
        thread.start()
        thread.join(0.1)
        assert thread.is_alive() and a.flags.writeable == (step == "make a graph")
    thread.join()
    assert a.flags.writeable == (step == "free a graph")


def test_a_graph_that_lives_until_the_interpreter_ends_makes_no_noise():
    code = (
        "import numpy as np, tinyadtn as ta\n"
        "x = ta.Tensor(np.ones(3), requires_grad=True)\n"
        "y = x * 2\nloop = [y]\nloop.append(loop)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "" == done.stdout
