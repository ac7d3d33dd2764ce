"""The guard: an array that a live graph needs cannot be changed, and is free again afterwards."""

import functools
import os
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


def needed(array):
    """The same values, computed so that a graph needs the array itself; a leaf has its own."""
    return leaf(np.ones(array.shape)) * array


@pytest.mark.parametrize("end", ["backward", "dropped"])
def test_inputs_and_results_are_read_only_while_the_graph_lives(end):
    a, b = np.ones(3), np.ones(3)
    y = needed(a) * b
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


@pytest.mark.parametrize(
    "compute",
    [lambda x, a: x + a, lambda x, a: x - a, lambda x, a: -(x + a).sum()],
    ids=["add", "subtract", "sum"],
)
def test_gradients_that_keep_no_array_protect_nothing(compute):
    x, a = leaf(np.ones(3)), np.ones(3)
    y = compute(x, a)
    a[0] = 5
    y.data[...] = 5
    y.backward(np.ones_like(y.data))
    assert np.abs(x.grad).tolist() == [1, 1, 1]


def test_a_result_that_its_own_graph_does_not_need_is_protected_where_it_is_used():
    x, a = leaf(np.ones(3)), np.ones(3)
    y = x + a
    z = y * y
    a[0] = 5
    with READ_ONLY:
        y.data[0] = 5
    z.backward(np.ones(3))
    assert x.grad.tolist() == [4, 4, 4]


@pytest.mark.parametrize(
    "view_of",
    [lambda x: x.reshape(3), lambda x: x.T, lambda x: ta.expand_dims(x, axis=0), lambda x: x[0]],
    ids=["reshape", "transpose", "expand_dims", "getitem"],
)
def test_a_view_is_read_only_too_because_its_memory_may_be_used_elsewhere(view_of):
    x = leaf(np.full((1, 3), 2.0))
    view = view_of(x)
    loss = (x * x).sum() + view.sum()
    with READ_ONLY:
        view.data[...] = 7
    loss.backward()
    assert x.grad.tolist() == [[5, 5, 5]]
    view.data[...] = 7


def kept_in(value):
    return lambda g: (g, value)


def never_assigned():
    if not READ_ONLY:
        value = np.ones(3)
    return lambda g: (g, value)


def test_which_gradients_keep_an_array():
    a = np.ones(3)
    for value in (2, 1.5, "same", None, (2, 3), [2, None]):
        assert guard._keep_no_array([kept_in(value)])
    keeping = [kept_in(v) for v in (a, (a, 1), [a], ((a,),), {"a": a}, kept_in(a), iter([a]))]
    keeping += [lambda g, a=a: a, lambda g, *, a=a: a, functools.partial(np.multiply, a)]
    keeping += [a.__mul__, leaf(a).__mul__, never_assigned()]
    for vjp in keeping:
        assert not guard._keep_no_array([kept_in(2), vjp])
        assert not guard._keep_no_array(vjp)  # one function for all gradients
    assert guard._keep_no_array(kept_in(2))


def test_an_array_in_several_graphs_is_free_after_the_last():
    a, b = np.ones(3), np.ones(3)
    first, second, third = leaf(a + 1) * a * b, needed(a), needed(a)
    first.backward(np.ones(3))
    with READ_ONLY:
        a[0] = 5
    b[0] = 5  # the first graph alone needed it
    del second
    with READ_ONLY:
        a[0] = 5
    third.backward(np.ones(3))
    a[0] = 5


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_view_in_two_graphs_is_free_after_the_last(order):
    whole, other = np.ones((2, 3)), np.ones((2, 3))
    view = whole[0]
    graphs = [needed(whole) * other, needed(view)]
    for k in order:
        for array in (whole, view):
            with READ_ONLY:
                array[..., 0] = 5
        graphs[k] = None
    whole[0, 0] = view[1] = other[0, 0] = 6


def test_a_leaf_has_memory_of_its_own():
    a = np.ones(3)
    x = leaf(a)
    y = x * 2
    a[0] = 5
    with READ_ONLY:
        x.data[0] = 5
    y.backward(np.ones(3))
    assert x.data.tolist() == [1, 1, 1]
    x.data[0] = 5


def test_a_chain_protects_until_its_last_part_is_gone():
    a = np.ones(3)
    x = needed(a)
    middle = x * 2
    loss = middle * 3
    loss.backward(np.ones(3))
    del loss
    a[0] = 5
    middle.data[0] = 5


def test_the_owner_of_a_view_is_protected_too():
    whole = np.ones((4, 3))
    y = needed(whole[1:3]) * 2
    with READ_ONLY:
        whole[2, 0] = 5
    y.backward(np.ones((2, 3)))
    whole[2, 0] = 5


def views_in_one_op(whole, view):
    return needed(whole) * needed(view)


def views_in_one_op_reversed(whole, view):
    return needed(view) * needed(whole)


def views_in_two_ops(whole, view):
    return (needed(whole) * 2.0) * needed(view)


def view_in_an_older_op(whole, view):
    return needed(view) * 2.0 * needed(whole)


def view_of_a_view(whole, view):
    return needed(view[1:2]) * needed(view) * needed(whole)


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
    a, b = needed(first) * 2, needed(second) * 2
    a.backward(np.ones(3))
    with READ_ONLY:
        flat[0] = 5
    b.backward(np.ones(3))
    for array in (flat, first, second):
        array[0] = 5


def test_what_was_read_only_before_stays_so():
    a = np.ones(3)
    a.flags.writeable = False
    (needed(a) * 2).backward(np.ones(3))
    assert not a.flags.writeable


def test_a_view_of_what_became_read_only_may_be_written_as_before():
    whole = np.ones((2, 3))
    view = whole[0]
    whole.flags.writeable = False  # a view that was there before can still be written
    needed(view).backward(np.ones(3))
    view[0] = 5
    y = needed(view)
    view[0] = 6  # NumPy would not give the flag back, so the guard compares the values
    with pytest.raises(ta.errors.GraphError, match=r"changed after multiply had used it.*copy"):
        y.backward(np.ones(3))


def test_stretched_views_and_foreign_buffers():
    buffer = bytearray(np.ones(3).tobytes())
    a = np.frombuffer(buffer)
    wide = np.broadcast_to(a, (2, 3))
    (needed(wide) * needed(a)).backward(np.ones((2, 3)))
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
        y = needed(a) * 2
    a[0] = 5
    y.backward(np.ones(3))
    a[0] = 5


def test_a_graph_made_outside_stays_protected_inside_unprotected():
    a = np.ones(3)
    y = needed(a) * 2
    with ta.unprotected(), READ_ONLY:
        a[0] = 5
    del y
    a[0] = 5


def test_a_refused_op_protects_nothing():
    a = np.ones(3)
    with pytest.raises(ta.errors.ShapeError):
        needed(a) @ np.ones((2, 2))
    a[0] = 5


def test_the_guard_keeps_no_array_alive():
    a = np.ones(3)
    y = needed(a) * 2
    gone = weakref.ref(a)
    del a
    y.backward(np.ones(3))
    assert gone() is None


def test_an_array_in_the_place_of_one_that_is_gone_is_guarded_for_itself():
    """An addition does not need its result, whose place in memory another array may take."""
    y = leaf(np.ones(3)) + 0.0
    place, z = id(y.data), y + 0.0
    del y  # its node lives on behind z, and still has to release what it made read-only
    others = [np.ones(3) for _ in range(10_000)]
    (array,) = (other for other in others if id(other) == place)
    w = needed(array) * 2
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


def held():
    return [hold() for _, hold in guard._holds.values() if hold() is not None]


def test_the_guard_forgets_every_array(monkeypatch):
    monkeypatch.setattr(guard, "_most", 1000)  # other tests may have held many arrays at once
    before = len(held())
    whole = np.ones((2, 3))
    for end in ("backward", "dropped"):
        y = needed(whole) * needed(whole[0]) * 2.0
        assert len(held()) > before
        if end == "backward":
            y.backward(np.ones((2, 3)))
        del y
        assert len(held()) == before
    kept = []
    for _ in range(3000):
        kept.append(np.ones(1))
        needed(kept[-1])
    assert len(guard._holds) < len(held()) + 2500  # what was held lately, not what ever was


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
                y = needed(shared) * 2.0
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


@ta.op
def options(x, *, factor):
    if isinstance(factor, dict):
        factor = factor["key"][0][0]
    return x * factor, lambda g: np.asarray(g * factor)


# --- views that existed before -------------------------------------------------------------------

# name: (values, the op that takes them)
OLD_VIEWS = {
    "of a constant": ([0.0, 1], lambda x, a: x * a),
    "of a constant as a tensor": ([0.0, 1], lambda x, a: x * ta.Tensor(a)),
    "of a condition": ([False, True], lambda x, a: ta.where(a, x, 0.0)),
    "of an index": ([0, 1], lambda x, a: x[a]),
    "of an array in a dict": ([0.0, 1], lambda x, a: options(x, factor={"key": [(a,)]})),
    "of what became another view": ([0.0, 1], lambda x, a: x * ta.Tensor(a).reshape(1, 2)[0]),
}


@pytest.mark.parametrize(("values", "use"), OLD_VIEWS.values(), ids=OLD_VIEWS)
def test_a_change_through_an_older_view_is_found_under_detect_anomaly(values, use):
    a = np.array(values)
    view = a[:]
    with ta.detect_anomaly():
        for change in (False, True):
            x = leaf(np.array([1.0, 2.0]))
            y = use(x, a)
            if change:
                view[0] = 1 - view[0]
                with pytest.raises(ta.errors.GraphError, match=r"changed after .* had used it"):
                    y.backward(np.ones(2))
                assert x.grad is None
            else:
                y.backward(np.ones(2))
                assert x.grad is not None


def test_a_change_of_a_parameter_through_an_older_view_is_found_under_detect_anomaly():
    w = leaf(np.ones(3))
    view = w.data[:]
    with ta.detect_anomaly():
        loss = (w.reshape(3, 1) * 2.0).sum() + (w * w).sum()
        view[0] = 5
        with pytest.raises(ta.errors.GraphError, match="changed after"):
            loss.backward()


def test_detect_anomaly_copies_no_results():
    """Only what a caller can have a view of: a chain of many ops needs no more memory."""
    with ta.detect_anomaly():
        y = leaf(np.ones(3))
        z = (y * 2.0) * 3.0
    assert [len(node.snapshots) for node in (z.node.sources[0], z.node)] == [1, 0]


# --- errors, interrupts, processes ---------------------------------------------------------------


def test_an_error_on_the_way_back_leaves_no_gradient_and_nothing_read_only():
    @ta.op
    def broken(a):
        return a * 1, lambda g: 1 / 0

    x, w, a = leaf(np.ones(3)), leaf(np.ones(3)), np.ones(3)
    w.grad = np.full(3, 7.0)
    y = broken(x * a) + w * a
    with pytest.raises(ZeroDivisionError):
        y.backward(np.ones(3))
    assert x.grad is None and w.grad.tolist() == [7, 7, 7]
    a[0] = y.data[0] = x.data[0] = 5
    with pytest.raises(ta.errors.GraphError, match="freed"):
        y.backward(np.ones(3))


def interrupted(lines):
    """Runs with a KeyboardInterrupt at a line of the engine, the next one each time."""
    seen = 0

    def trace(frame, event, argument):
        nonlocal seen
        if "autodiff" not in frame.f_code.co_filename:
            return None
        if event == "line":
            seen += 1
            if seen == lines:
                raise KeyboardInterrupt
        return trace

    return trace


def test_an_interrupt_at_any_line_leaves_nothing_read_only():
    whole, ended = np.ones((2, 3)), False
    x, w = leaf(np.ones(3)), leaf(np.ones(3))
    line = 0
    while not ended:
        line += 1
        x.grad = w.grad = None
        sys.settrace(interrupted(line))
        try:
            (x * whole[0] * whole * w).sum().backward()
            ended = True
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(None)
        assert (x.grad is None) == (w.grad is None), line
        assert all(a.flags.writeable for a in (whole, x.data, w.data)), line
    assert line > 100 and x.grad.tolist() == [2, 2, 2]


def test_no_interrupt_is_lost_where_a_graph_ends():
    """Python ignores exceptions in destructors: what frees arrays there must not be Python's."""
    lost = []

    def trace(frame, event, argument):
        lost.append(frame.f_code.co_qualname if sys.version_info >= (3, 11) else frame.f_code)

    a = np.ones(3)
    y = needed(a) * needed(a[:2])[:1]
    sys.setprofile(trace)
    try:
        del y
    finally:
        sys.setprofile(None)
    assert a.flags.writeable
    assert [name for name in lost if "test_" not in str(name)] == []


def test_a_child_that_is_forked_while_a_thread_is_in_an_op_does_not_hang():
    if not hasattr(os, "fork"):
        pytest.skip("this system does not fork")
    code = (
        "import os, threading, warnings, numpy as np, tinyadtn as ta\n"
        "from tinyadtn.autodiff import guard\n"
        "warnings.simplefilter('ignore')\n"
        "def hold():\n"
        "    with guard._lock:\n"
        "        held.set(); done.wait(20)\n"
        "held, done = threading.Event(), threading.Event()\n"
        "thread = threading.Thread(target=hold); thread.start(); held.wait()\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    x = ta.Tensor([1.0], requires_grad=True); (x * x).backward()\n"
        "    os._exit(int(x.grad[0]))\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])); done.set()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "2\n"


def test_a_graph_that_lives_until_the_interpreter_ends_makes_no_noise():
    code = (
        "import numpy as np, tinyadtn as ta\n"
        "x = ta.Tensor(np.ones(3), requires_grad=True)\n"
        "y = x * 2\nloop = [y]\nloop.append(loop)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "" == done.stdout
