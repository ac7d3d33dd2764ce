"""Notebook 05: col2im, the gradient of an overlapping max-pool, and a kernel to be found."""

import numpy as np

from tinyadtn.teach import exercise


def windows(shape, kernel, stride):
    """(output row and column, slices of the image) of every window."""
    for i in range((shape[2] - kernel) // stride + 1):
        for j in range((shape[3] - kernel) // stride + 1):
            rows = slice(i * stride, i * stride + kernel)
            yield i, j, (slice(None), slice(None), rows, slice(j * stride, j * stride + kernel))


def im2col(x, kernel, stride):
    """Patch by patch, where the notebook goes cell by cell."""
    n, c, _, _ = x.shape
    patches = [
        x[window].reshape(n, c * kernel * kernel)
        for _, _, window in windows(x.shape, kernel, stride)
    ]
    return np.stack(patches, axis=2)


# --- col2im --------------------------------------------------------------------------------------


def scatter(columns, shape, kernel, stride, put):
    n, c, h, w = shape
    high, wide = (h - kernel) // stride + 1, (w - kernel) // stride + 1
    columns = columns.reshape(n, c, kernel, kernel, high, wide)
    out = np.zeros(shape)
    for p in range(kernel):
        for q in range(kernel):
            rows = slice(p, p + stride * high, stride)
            put(out, (..., rows, slice(q, q + stride * wide, stride)), columns, p, q)
    return out


def add(out, place, columns, p, q):
    out[place] += columns[:, :, p, q]


def overwrites(columns, shape, kernel, stride):
    def put(out, place, columns, p, q):
        out[place] = columns[:, :, p, q]

    return scatter(columns, shape, kernel, stride, put)


def kernel_turned(columns, shape, kernel, stride):
    return scatter(
        columns, shape, kernel, stride, lambda out, place, c, p, q: add(out, place, c, q, p)
    )


def averages(columns, shape, kernel, stride):
    count = scatter(np.ones_like(columns), shape, kernel, stride, add)
    return scatter(columns, shape, kernel, stride, add) / np.maximum(count, 1)


def stride_forgotten(columns, shape, kernel, stride):
    n, c, h, w = shape
    high, wide = (h - kernel) // stride + 1, (w - kernel) // stride + 1
    columns = columns.reshape(n, c, kernel, kernel, high, wide)
    out = np.zeros(shape)
    for p in range(kernel):
        for q in range(kernel):
            out[:, :, p : p + high, q : q + wide] += columns[:, :, p, q]
    return out


def first_channel_only(columns, shape, kernel, stride):
    out = scatter(columns, shape, kernel, stride, add)
    out[:, 1:] = out[:, :1]
    return out


def drawn_windows(rng):
    """A kernel, a stride, and the shape of an image that the windows fit into."""
    kernel, stride = int(rng.integers(2, 4)), int(rng.integers(1, 4))
    sides = (int(n) for n in rng.integers(kernel + 1, 9, size=2))
    return kernel, stride, (int(rng.integers(1, 4)), int(rng.integers(2, 4)), *sides)


@exercise(
    "col2im",
    hints=(
        "Take my_im2col and turn the arrow around: what was read from a place is added to it.",
        "Start from np.zeros(shape), and reshape columns to (n, c, k, k, oh, ow).",
        "out[:, :, p : p + stride * oh : stride, q : q + stride * ow : stride] "
        "+= columns[:, :, p, q]",
    ),
    wrong=(overwrites, kernel_turned, averages, stride_forgotten, first_channel_only),
)
def check_col2im(answer, rng):
    ones = np.ones((1, 4, 2))
    count = scatter(ones, (1, 1, 2, 3), 2, 1, add)  # how many windows see each pixel
    yield "columns of ones, shape (1, 1, 2, 3), k = 2", count, answer(ones, (1, 1, 2, 3), 2, 1)
    overlapping = [(2, 1, (1, 1, 3, 3)), (3, 2, (2, 2, 8, 7))]
    drawn = sorted((drawn_windows(rng) for _ in range(40)), key=lambda case: np.prod(case[2]))
    for kernel, stride, shape in overlapping + drawn:
        x = rng.normal(size=shape)
        columns = rng.normal(size=im2col(x, kernel, stride).shape)
        got = answer(columns, shape, kernel, stride)
        case = f"shape {shape}, k = {kernel}, stride {stride}"
        forward = np.sum(columns * im2col(x, kernel, stride))
        yield f"the shape of the result, {case}", shape, np.shape(got)
        yield f"the adjoint identity, {case}", forward, np.sum(np.asarray(got) * x)


# --- the overlapping max-pool --------------------------------------------------------------------


def pool_backward(x, g, kernel, stride, give):
    out = np.zeros(x.shape)
    for i, j, window in windows(x.shape, kernel, stride):
        for place in np.ndindex(x.shape[:2]):
            patch = x[window][place]
            give(out[window][place], patch, g[place][i, j])
    return out


def winner(patch):
    return np.unravel_index(patch.argmax(), patch.shape)


def last_window_wins(x, g, kernel, stride):
    def give(out, patch, share):
        out[winner(patch)] = share

    return pool_backward(x, g, kernel, stride, give)


def everybody_gets_it(x, g, kernel, stride):
    def give(out, patch, share):
        out += share

    return pool_backward(x, g, kernel, stride, give)


def shared_like_an_average(x, g, kernel, stride):
    def give(out, patch, share):
        out += share / patch.size

    return pool_backward(x, g, kernel, stride, give)


def loser_takes_it(x, g, kernel, stride):
    def give(out, patch, share):
        out[np.unravel_index(patch.argmin(), patch.shape)] += share

    return pool_backward(x, g, kernel, stride, give)


def no_overlap(x, g, kernel, stride):
    """Steps by the kernel instead of the stride."""
    out = np.zeros(x.shape)
    for i, j, _ in windows(x.shape, kernel, stride):
        window = x[:, :, i * kernel : (i + 1) * kernel, j * kernel : (j + 1) * kernel]
        for a, b in np.ndindex(x.shape[:2]):
            if window[a, b].size:
                p, q = winner(window[a, b])
                out[a, b, i * kernel + p, j * kernel + q] += g[a, b, i, j]
    return out


def pool(x, kernel, stride):
    return im2col_per_channel(x, kernel, stride).max(axis=2)


def im2col_per_channel(x, kernel, stride):
    n, c, h, w = x.shape
    high, wide = (h - kernel) // stride + 1, (w - kernel) // stride + 1
    columns = im2col(x.reshape(n * c, 1, h, w), kernel, stride)
    return columns.reshape(n, c, kernel * kernel, high, wide)


@exercise(
    "max-pool",
    hints=(
        "Of each window only the largest pixel was passed on: the others change nothing.",
        "A pixel may be the largest of several windows, which overlap. What do contributions do?",
        "For each window: p, q = np.unravel_index(patch.argmax(), patch.shape), then += there.",
    ),
    wrong=(
        last_window_wins,
        everybody_gets_it,
        shared_like_an_average,
        loser_takes_it,
        no_overlap,
    ),
    tolerance=1e-6,
)
def check_max_pool(answer, rng):
    x = np.zeros((1, 1, 3, 5))
    x[..., 1, 2] = 1.0
    tried = "one pixel that is the largest of two windows, with g = 2 and g = 3"
    right = 5 * x
    yield f"{tried}, k = 3, stride 2", right, answer(x, np.array([[[[2.0, 3.0]]]]), 3, 2)
    for kernel in (2, 2, 2, 2, 3, 3, 3, 3, 3, 3):
        stride = int(rng.integers(1, kernel + 1)) if rng.random() < 0.3 else kernel - 1
        shape = (1, 2, *(int(n) for n in rng.integers(kernel + 2, 8, size=2)))
        # All pixels differ by 0.1 or more, so that no wiggle changes a winner.
        x = 0.1 * rng.permutation(np.arange(np.prod(shape))).reshape(shape)
        g = rng.normal(size=pool(x, kernel, stride).shape)
        right, h = np.zeros(shape), 1e-3
        for place in np.ndindex(shape):
            e = np.zeros(shape)
            e[place] = h
            moved = pool(x + e, kernel, stride) - pool(x - e, kernel, stride)
            right[place] = np.sum(g * moved) / (2 * h)
        yield (
            f"shape {shape}, k = {kernel}, stride {stride}",
            right,
            answer(x, g, kernel, stride),
        )


# --- find the kernel -----------------------------------------------------------------------------


def equations(image, k):
    """One row for each place of the window: the pixels under it."""
    return im2col(image[None, None], k, 1)[0].T


def least_squares(rows, result, k):
    return np.linalg.lstsq(rows, result.ravel(), rcond=None)[0].reshape(k, k)


def kernel_flipped(image, result, k):
    return least_squares(equations(image, k), result, k)[::-1, ::-1]


def kernel_transposed(image, result, k):
    return least_squares(equations(image, k), result, k).T


def first_equations_only(image, result, k):
    """As many equations as weights: no noise is averaged out."""
    few = np.linalg.pinv(equations(image, k)[: k * k]) @ result.ravel()[: k * k]
    return few.reshape(k, k)


def correlates_only(image, result, k):
    """The transposed product without the inverse."""
    return (equations(image, k).T @ result.ravel()).reshape(k, k) / result.size


@exercise(
    "find the kernel",
    hints=(
        "How many equations are there, and how many unknowns? For k = 3 there are 9 unknowns.",
        "my_im2col(image[None, None], k)[0].T has one row for each equation.",
        "np.linalg.lstsq(rows, result.ravel(), rcond=None)[0] solves them in least squares.",
    ),
    wrong=(kernel_flipped, kernel_transposed, first_equations_only, correlates_only),
    tolerance=0.01,
)
def check_find_kernel(answer, rng):
    for k in sorted(int(n) for n in rng.integers(2, 6, size=12)):
        shape = tuple(int(n) for n in rng.integers(20, 30, size=2))
        image, kernel = rng.normal(size=shape), rng.normal(size=(k, k))
        clean = (equations(image, k) @ kernel.ravel()).reshape(*(n - k + 1 for n in shape))
        result = clean + 1e-2 * rng.normal(size=clean.shape)
        yield f"a {k}×{k} kernel, an image {shape}", kernel, answer(image, result, k)
