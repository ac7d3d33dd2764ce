"""What the ops on images should compute, written as plainly as it can be: loops over everything.

Nothing here shares an idea with the library: no slices of whole images, no matrix product.
"""

import numpy as np


def outputs_along(length, kernel, stride, padding, dilation=1, after=None, ceil_mode=False):
    """How often a window fits, counted: every place where its last cell is still inside.

    With ``ceil_mode``, once more, if there are pixels that no window reached, or might reach.
    """
    after = padding if after is None else after
    starts = range(0, length + padding + after - dilation * (kernel - 1), stride)
    last = starts[-1] if starts else -stride
    ends_early = last + dilation * (kernel - 1) + 1 < length + padding + after
    return len(starts) + (ceil_mode and ends_early and last + stride < length + padding)


def sides(padding, length, axis, kernel, stride, dilation):
    """The padding before and after along one axis; "same" is found by trying."""
    if padding == "same":
        total = next(
            t for t in range(99)
            if outputs_along(length, kernel, stride, 0, dilation, after=t) * stride >= length
        )  # fmt: skip
        return total // 2, total - total // 2
    along = padding[axis] if np.ndim(padding) else padding
    return np.broadcast_to(along, 2)


def conv2d(x, weight, stride=1, padding=0, dilation=1, groups=1):
    """Seven loops: image, output channel, row, column, input channel, kernel row and column."""
    (s, t), (d, e) = (np.broadcast_to(k, 2) for k in (stride, dilation))
    n, _, h, w = x.shape
    o, c_group, kh, kw = weight.shape
    (u, below), (v, right) = sides(padding, h, 0, kh, s, d), sides(padding, w, 1, kw, t, e)
    rows, columns = outputs_along(h, kh, s, u, d, below), outputs_along(w, kw, t, v, e, right)
    y = np.zeros((n, o, rows, columns))
    for m, k, i, j in np.ndindex(y.shape):
        first = (k // (o // groups)) * c_group  # the group's first channel
        for a, p, q in np.ndindex(c_group, kh, kw):
            row, column = i * s + p * d - u, j * t + q * e - v
            inside = 0 <= row < h and 0 <= column < w
            pixel = x[m, first + a, row, column] if inside else 0.0
            y[m, k, i, j] += weight[k, a, p, q] * pixel
    return y


def conv_transpose2d(x, weight, stride=1, padding=0, output_padding=0, dilation=1, groups=1):
    """Every pixel of x writes a kernel into the result, with which others overlap."""
    (s, t), (u, v), (d, e), (a, b) = (
        np.broadcast_to(k, 2) for k in (stride, padding, dilation, output_padding)
    )
    (n, o, h, w), (_, c_group, kh, kw) = x.shape, weight.shape
    full = np.zeros((n, c_group * groups, (h - 1) * s + d * (kh - 1) + 1 + a,
                     (w - 1) * t + e * (kw - 1) + 1 + b))  # fmt: skip
    for m, k, i, j in np.ndindex(x.shape):
        first = (k // (o // groups)) * c_group
        for c, p, q in np.ndindex(c_group, kh, kw):
            full[m, first + c, i * s + p * d, j * t + q * e] += weight[k, c, p, q] * x[m, k, i, j]
    return full[:, :, u : full.shape[2] - u, v : full.shape[3] - v]


def pool2d(x, reduce, kernel, stride=None, padding=0, dilation=1, ceil_mode=False, outside=0.0):
    """``reduce`` of every window, cells beyond the border being ``outside``.

    Cells beyond the padding too, which ``ceil_mode`` may reach, do not count.
    """
    (kh, kw), (d, e) = np.broadcast_to(kernel, 2), np.broadcast_to(dilation, 2)
    s, t = (kh, kw) if stride is None else np.broadcast_to(stride, 2)
    n, c, h, w = x.shape
    (u, below), (v, right) = sides(padding, h, 0, kh, s, d), sides(padding, w, 1, kw, t, e)
    rows = outputs_along(h, kh, s, u, d, below, ceil_mode)
    y = np.zeros((n, c, rows, outputs_along(w, kw, t, v, e, right, ceil_mode)))
    for m, k, i, j in np.ndindex(y.shape):
        seen = []
        for p, q in np.ndindex(kh, kw):
            row, column = i * s + p * d - u, j * t + q * e - v
            inside = 0 <= row < h and 0 <= column < w
            if row < h + below and column < w + right:
                seen.append(x[m, k, row, column] if inside else outside)
        y[m, k, i, j] = reduce(seen)
    return y


def max_pool2d(x, **options):
    return pool2d(x, np.max, **options, outside=-np.inf)


def avg_pool2d(x, **options):
    return pool2d(x, np.mean, **options)


def batch_norm(x, scale, shift, mean=None, variance=None, epsilon=1e-5):
    y = np.empty_like(x)
    for c in range(x.shape[1]):
        centre = x[:, c].mean() if mean is None else mean[c]
        spread = ((x[:, c] - centre) ** 2).mean() if variance is None else variance[c]
        y[:, c] = scale[c] * (x[:, c] - centre) / np.sqrt(spread + epsilon) + shift[c]
    return y


def local_response_norm(x, size=5, k=2.0, alpha=1e-4, beta=0.75):
    y = np.empty_like(x)
    for c in range(x.shape[1]):
        near = range(max(0, c - size // 2), min(x.shape[1], c + size // 2 + 1))
        y[:, c] = x[:, c] / (k + alpha * sum(x[:, j] ** 2 for j in near)) ** beta
    return y


def local_contrast_norm(x, size=9, epsilon=1e-8):
    """Jarrett et al. (2009) pixel by pixel; weights beyond the border are missing."""
    n, _, h, w = x.shape

    def local_mean(values):
        means = np.zeros((n, h, w))
        for m, i, j in np.ndindex(n, h, w):
            total = 0.0
            for p, q in np.ndindex(h, w):
                if max(abs(p - i), abs(q - j)) <= size // 2:
                    distance = (p - i) ** 2 + (q - j) ** 2
                    weight = np.exp(-distance / (2 * (size / 4) ** 2))
                    means[m, i, j] += weight * values[m, :, p, q].mean()
                    total += weight
            means[m, i, j] /= total
        return means[:, None]

    v = x - local_mean(x)
    spread = np.sqrt(local_mean(v**2) + epsilon)
    floor = np.array([image.mean() for image in spread]).reshape(n, 1, 1, 1)
    return v / np.where(spread > floor, spread, floor)


def dropout(x, rate, rng):
    """The mask is the library's own secret; that it is one, ``test_norm`` says."""
    return x * ((np.random.default_rng(rng).random(x.shape, np.float32) >= rate) / (1 - rate))
