"""Scratch memory: kept from call to call, one for each thread, and never part of a result."""

import threading

import numpy as np
import pytest

import tinyadtn as ta
from tinyadtn.ops.fast.scratch import scratch

LIKE = np.ones(1, np.float32)


def test_the_same_memory_comes_back_and_grows_where_it_must():
    first = scratch("test", (2, 3), LIKE)
    assert np.shares_memory(first, scratch("test", (6,), LIKE))
    assert np.shares_memory(first, scratch("test", (2,), LIKE))
    larger = scratch("test", (1000, 7), LIKE)
    assert not np.shares_memory(first, larger)
    assert np.shares_memory(larger, scratch("test", (2, 3), LIKE))


def test_another_name_or_type_has_memory_of_its_own():
    a = scratch("test", (5,), LIKE)
    b = scratch("test 2", (5,), LIKE)
    c = scratch("test", (5,), LIKE.astype(np.float64))
    assert (a.dtype, c.dtype) == (np.float32, np.float64)
    assert not np.shares_memory(a, b) and not np.shares_memory(a, c)


def test_each_thread_has_its_own():
    mine, theirs = scratch("test", (5,), LIKE), []
    thread = threading.Thread(target=lambda: theirs.append(scratch("test", (5,), LIKE)))
    thread.start()
    thread.join()
    assert not np.shares_memory(mine, theirs[0])


# (channels, pixels): the first is computed plainly, the second in Winograd's way
@pytest.mark.parametrize(("channels", "size"), [(3, 6), (32, 8)])
def test_results_of_a_convolution_stay_what_they_are_while_others_are_computed(channels, size):
    rng = np.random.default_rng(0)

    def gradients(seed):
        draw = np.random.default_rng(seed).normal
        x, w = (
            ta.Tensor(draw(size=shape).astype(np.float32), requires_grad=True)
            for shape in ((16, channels, size, size), (channels, channels, 3, 3))
        )
        y = ta.conv2d(x, w, padding=1)
        y.backward(y.data.copy())
        return [y.data, x.grad, w.grad]

    first = gradients(1)
    before = [a.tobytes() for a in first]
    for seed in rng.integers(2, 100, 3):
        gradients(seed)
    assert [a.tobytes() for a in first] == before
    assert [a.tobytes() for a in gradients(1)] == before


def test_threads_that_convolve_at_once_do_not_disturb_each_other():
    def gradient(seed):
        rng = np.random.default_rng(seed)
        x = ta.Tensor(rng.normal(size=(16, 32, 8, 8)).astype(np.float32), requires_grad=True)
        w = ta.Tensor(rng.normal(size=(32, 32, 3, 3)).astype(np.float32), requires_grad=True)
        ta.conv2d(x, w, padding=1).backward(x.data)
        return x.grad.tobytes() + w.grad.tobytes()

    alone, together = [gradient(seed) for seed in range(4)], {}

    def work(seed):
        together[seed] = {gradient(seed) for _ in range(5)}

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == {seed: {bits} for seed, bits in enumerate(alone)}
