"""What the ops on images should compute, written as plainly as it can be: loops over everything.

Nothing here shares an idea with the library: no slices of whole images, no matrix product.
"""

import numpy as np


def outputs_along(length, kernel, stride, padding, dilation=1):
    """How often a window fits, counted: every place where its last cell is still inside."""
    starts = range(0, length + 2 * padding - dilation * (kernel - 1), stride)
    return len(starts)


def conv2d(x, weight, stride=1, padding=0, dilation=1, groups=1):
    """Seven loops: image, output channel, row, column, input channel, kernel row and column."""
    (s, t), (u, v), (d, e) = (np.broadcast_to(k, 2) for k in (stride, padding, dilation))
    n, _, h, w = x.shape
    o, c_group, kh, kw = weight.shape
    rows, columns = outputs_along(h, kh, s, u, d), outputs_along(w, kw, t, v, e)
    y = np.zeros((n, o, rows, columns))
    for m, k, i, j in np.ndindex(y.shape):
        first = (k // (o // groups)) * c_group  # the group's first channel
        for a, p, q in np.ndindex(c_group, kh, kw):
            row, column = i * s + p * d - u, j * t + q * e - v
            inside = 0 <= row < h and 0 <= column < w
            pixel = x[m, first + a, row, column] if inside else 0.0
            y[m, k, i, j] += weight[k, a, p, q] * pixel
    return y


def pool2d(x, reduce, kernel, stride=None, padding=0, outside=0.0):
    """``reduce`` of every window, cells beyond the border being ``outside``."""
    (kh, kw), (u, v) = np.broadcast_to(kernel, 2), np.broadcast_to(padding, 2)
    s, t = (kh, kw) if stride is None else np.broadcast_to(stride, 2)
    n, c, h, w = x.shape
    y = np.zeros((n, c, outputs_along(h, kh, s, u), outputs_along(w, kw, t, v)))
    for m, k, i, j in np.ndindex(y.shape):
        seen = []
        for p, q in np.ndindex(kh, kw):
            row, column = i * s + p - u, j * t + q - v
            inside = 0 <= row < h and 0 <= column < w
            seen.append(x[m, k, row, column] if inside else outside)
        y[m, k, i, j] = reduce(seen)
    return y


def max_pool2d(x, kernel, stride=None, padding=0):
    return pool2d(x, np.max, kernel, stride, padding, outside=-np.inf)


def avg_pool2d(x, kernel, stride=None, padding=0):
    return pool2d(x, np.mean, kernel, stride, padding)


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
