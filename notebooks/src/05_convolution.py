# %% [markdown]
# # 05 Is convolution a matrix product in disguise?
#
# The network of notebook 04 does not know that pixels have neighbours. Shuffle all pixels, the
# same way in every image, and it learns just as well. A convolution knows one thing more: it
# looks at small windows, and at all of them with the same eyes.
#
# It looks like a new kind of operation, with a backward pass to fear. It is neither. Lay the
# windows out as the columns of a matrix, and what is left is a product, whose adjoint you know
# since notebook 03.

# %%
import numpy as np

import tinyadtn as ta
from tinyadtn import teach
from tinyadtn.course.pictures.patches import patch_matrix

rng = np.random.default_rng(0)

# %% [markdown]
# ## A window slides over an image
#
# At each place, multiply the pixels under the window with the numbers of the *kernel*, and add
# up. (The kernel is not flipped; a mathematician would say correlation.) The plain way to write
# it:


# %%
def plain_convolution(image, kernel):
    k = len(kernel)
    high, wide = image.shape[0] - k + 1, image.shape[1] - k + 1
    out = np.zeros((high, wide))
    for i in range(high):
        for j in range(wide):
            out[i, j] = np.sum(image[i : i + k, j : j + k] * kernel)
    return out


image = np.array([[0, 0, 1, 2, 0, 0], [0, 1, 3, 3, 0, 0], [0, 2, 1, 3, 0, 0],
                  [0, 0, 0, 3, 1, 0], [0, 0, 1, 3, 2, 0], [0, 0, 2, 3, 1, 0]], float)  # fmt: skip
kernel = np.array([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]])  # bright left, dark right
print(plain_convolution(image, kernel))

# %% [markdown]
# ## Lay the windows side by side
#
# `my_im2col` makes a matrix with one column for each place of the window. It goes through the
# cells of the kernel, not through the places: for one cell, the pixels of all places are a slice
# of the image. Images come as (n, c, h, w): how many, channels, rows, columns. `stride` is how
# far the window moves at a time.
#
# For a 6×6 image and a 3×3 window, which shape has the matrix? Guess before you run.


# %%
def my_im2col(x, kernel, stride=1):
    n, c, h, w = x.shape
    oh, ow = (h - kernel) // stride + 1, (w - kernel) // stride + 1
    columns = np.empty((n, c, kernel, kernel, oh, ow), x.dtype)
    for p in range(kernel):
        for q in range(kernel):
            rows, cols = slice(p, p + stride * oh, stride), slice(q, q + stride * ow, stride)
            columns[:, :, p, q] = x[:, :, rows, cols]
    return columns.reshape(n, c * kernel * kernel, oh * ow)


my_guess = None
columns = my_im2col(image[None, None], 3)[0]
teach.reveal(my_guess, columns.shape)
product = kernel.reshape(1, 9) @ columns
assert np.array_equal(product.reshape(4, 4), plain_convolution(image, kernel))

# %% [markdown]
# ## The picture to keep
#
# Follow three patches. Each is a column; the kernel, written as a row, meets all columns alike;
# the numbers that come out, read as an image, are the convolution. Patches *a* and *b* overlap:
# their common pixels stand in the matrix twice. Keep that in mind for the way back.

# %%
patch_matrix(image, kernel, [(0, 1), (1, 2), (3, 2)])

# %% [markdown]
# ## The disguise
#
# A convolution is linear in the image, so it *is* a matrix: 36 pixels in, 16 numbers out. Its
# columns are what it makes of images with a single bright pixel. Guess how many different
# numbers, other than 0, stand in its 576 entries.

# %%
my_guess = None
units = np.eye(36).reshape(36, 6, 6)
values = np.arange(1.0, 10.0).reshape(3, 3)  # a kernel of nine different numbers
matrix = np.array([plain_convolution(unit, values).ravel() for unit in units]).T
teach.reveal(my_guess, len(np.unique(matrix)) - 1)
print(f"shape {matrix.shape}, {np.count_nonzero(matrix)} of {matrix.size} entries are not 0")
teach.states("576", matrix.size, always=True)
teach.states("16", matrix.shape[0], always=True)

# %% [markdown]
# Nine numbers, used over and over: that is what it means that all windows are seen with the same
# eyes.
#
# ## The way back
#
# `my_im2col` copies pixels. You know the adjoint of copying: the copies add up. `col2im` puts
# each column back to where its patch came from, and *adds*.
#
# ## Exercise: col2im
#
# Write it. The check draws shapes, kernels and strides, and asks for the adjoint identity,
# $\langle \text{columns}, \text{im2col}(x)\rangle = \langle \text{col2im}(\text{columns}),
# x\rangle$.


# %%
def col2im(columns, shape, kernel, stride=1):
    """The adjoint of my_im2col: an array of this shape (n, c, h, w)."""


# %% solution: col2im
def col2im(columns, shape, kernel, stride=1):
    n, c, h, w = shape
    oh, ow = (h - kernel) // stride + 1, (w - kernel) // stride + 1
    columns = columns.reshape(n, c, kernel, kernel, oh, ow)
    out = np.zeros(shape, columns.dtype)
    for p in range(kernel):
        for q in range(kernel):
            rows, cols = slice(p, p + stride * oh, stride), slice(q, q + stride * ow, stride)
            out[:, :, rows, cols] += columns[:, :, p, q]
    return out


# %%
col2im = teach.check("col2im", col2im)
ones = np.ones((1, 9, 16))
print("how many windows see each pixel:")
print(col2im(ones, (1, 1, 6, 6), 3)[0, 0].astype(int))

# %% [markdown]
# ## Convolution, with its gradient
#
# All images and several kernels at once: the weight is (o, c, k, k), which as a matrix is (o,
# ckk). Forward a product; backward, for the weight, the product with the columns transposed; for
# the image, the product with the weight transposed, and then `col2im`. The two lines are those of
# `matmul` in notebook 03.


# %%
def my_conv(x, weight, *, stride=1):
    o, _, k, _ = weight.shape
    n, oh = len(x), (x.shape[2] - k) // stride + 1
    columns, matrix = my_im2col(x, k, stride), weight.reshape(o, -1)

    def grad_x(g):
        return col2im(matrix.T @ g.reshape(n, o, -1), x.shape, k, stride)

    def grad_weight(g):
        return np.sum(g.reshape(n, o, -1) @ columns.swapaxes(1, 2), axis=0).reshape(weight.shape)

    return (matrix @ columns).reshape(n, o, oh, -1), grad_x, grad_weight


# %%
x, weight = rng.normal(size=(2, 3, 7, 8)), rng.normal(size=(4, 3, 3, 3))
for stride in (1, 2):
    distance = ta.check_vjp(ta.op(my_conv), x, weight, method="linear", stride=stride)
    mine, theirs = my_conv(x, weight, stride=stride)[0], ta.conv2d(x, weight, stride=stride)
    difference = abs(mine - theirs.numpy()).max()
    print(f"stride {stride}: gradient off by {distance:.0e}, from the library's {difference:.0e}")
    assert difference < 1e-12

# %% [markdown]
# ## Exercise: max-pooling with overlap
#
# A max-pool passes on the largest pixel of each window, channel by channel. Backward, the winner
# gets the adjoint, the others nothing. In AlexNet, a later and larger network, windows are 3 wide
# and move by 2, so *one pixel can win twice*. Write `max_pool_vjp(x, g, kernel, stride)`: the
# adjoint of `x`. Loops are fine.


# %%
def max_pool_vjp(x, g, kernel, stride):
    """dL/dx, where g (n, c, oh, ow) is dL/d(the largest of each window)."""


# %% solution: max-pool
def max_pool_vjp(x, g, kernel, stride):
    out = np.zeros(x.shape, g.dtype)
    for n, c, i, j in np.ndindex(g.shape):
        top, left = i * stride, j * stride
        patch = x[n, c, top : top + kernel, left : left + kernel]
        p, q = np.unravel_index(patch.argmax(), patch.shape)
        out[n, c, top + p, left + q] += g[n, c, i, j]
    return out


# %%
max_pool_vjp = teach.check("max-pool", max_pool_vjp)


def my_max_pool(x, *, kernel, stride):
    n, c, h, w = x.shape
    windows = my_im2col(x.reshape(n * c, 1, h, w), kernel, stride)
    value = windows.max(axis=1).reshape(n, c, (h - kernel) // stride + 1, -1)
    return value, lambda g: max_pool_vjp(x, g, kernel, stride)


distance = ta.check_vjp(ta.op(my_max_pool), x, method="piecewise", kernel=3, stride=2)
same = ta.max_pool2d(x, kernel=3, stride=2).numpy() == my_max_pool(x, kernel=3, stride=2)[0]
print(f"gradient off by {distance:.0e}; the same as the library's: {same.all()}")

# %% [markdown]
# ## LeNet-5
#
# Two convolutions with pools, then three linear layers (LeCun and others, 1998). To show that
# nothing is hidden in it, run its weights through your own functions; 28×28 pixels get a border
# of 2.


# %%
def my_lenet(model, x):
    def block(x, layer):
        linear = my_conv(x, layer.weight.data)[0] + layer.bias.data[:, None, None]
        return my_max_pool(np.maximum(linear, 0), kernel=2, stride=2)[0]

    x = np.pad(x, ((0, 0), (0, 0), (2, 2), (2, 2)))
    x = block(block(x, model.conv1), model.conv2).reshape(len(x), -1)
    for layer in (model.fc1, model.fc2):
        x = np.maximum(x @ layer.weight.data.T + layer.bias.data, 0)
    return x @ model.fc3.weight.data.T + model.fc3.bias.data


data = ta.load_data("mnist-5k")
model, dense = ta.models.lenet5(rng=0), ta.models.fc2(rng=0)
some = data.test.images[:50]
difference = abs(my_lenet(model, some) - model(some).numpy()).max()
print(f"logits differ by {difference:.0e}; LeNet-5 has {model.num_parameters:,} numbers", end=", ")
print(f"FC-2 {dense.num_parameters:,}")
assert difference < 1e-4

# %% [markdown]
# ## Predict: what do neighbours matter?
#
# Train both networks on the digits, and both on *shuffled pixels*: one fixed permutation for all
# images. Nothing is lost to a reader who knows the permutation. Guess the four test accuracies.

# %%
epochs = teach.pick(12, 1)
order = np.random.default_rng(5).permutation(784)


def shuffle_pixels(split):
    return split.images.reshape(-1, 784)[:, order].reshape(-1, 1, 28, 28), split.labels


splits = {name: getattr(data, name) for name in ("train", "validation", "test")}
shuffled = ta.load_data({name: shuffle_pixels(split) for name, split in splits.items()})


def trained_accuracy(model, data):
    for _ in ta.train(model, data, epochs=epochs, learning_rate=3e-3):
        pass
    return 100 * ta.evaluate(model, data.test).accuracy


# %%
my_guess = None
other, other_dense = ta.models.lenet5(rng=0), ta.models.fc2(rng=0)
scores = {
    "LeNet-5": (trained_accuracy(model, data), trained_accuracy(other, shuffled)),
    "FC-2": (trained_accuracy(dense, data), trained_accuracy(other_dense, shuffled)),
}
teach.reveal(my_guess, "as follows, in % of the test digits")
for name, (straight, mixed) in scores.items():
    print(f"  {name:<8} digits {straight:.1f}, shuffled pixels {mixed:.1f}")
teach.states("96", scores["LeNet-5"][0], within=1.5)
teach.states("91", scores["FC-2"][0], within=2)
assert teach.fast or scores["LeNet-5"][1] < scores["FC-2"][1] + 1

# %% [markdown]
# LeNet-5 reads about 96 % of the new digits, FC-2 about 91 %, with three times as many numbers.
# The advantage is gone once the pixels are shuffled. So it was neither the number of weights nor
# the number of layers: it was *what the network takes for granted*.
#
# ## What the first layer looks for
#
# Six kernels of 5×5 pixels, and what each makes of one digit (black: strong).

# %%
digit = data.test.images[:1]
maps = np.maximum(ta.conv2d(digit, model.conv1.weight, padding=2).numpy()[0], 0)
kernels = np.kron(model.conv1.weight.data[:, 0], np.ones((5, 5)))
kernels = np.pad(0.5 + kernels / (2 * abs(kernels).max()), ((0, 0), (1, 2), (1, 2)))
titles = [f"kernel {k}" for k in range(1, 7)] + [f"its map {k}" for k in range(1, 7)]
ta.draw.digits(np.concatenate([kernels, maps / maps.max()]), titles)

# %% [markdown]
# ## Ledger
#
# **Shown.** A convolution is a matrix product on a matrix of patches; its backward pass is the
# same product transposed, and `col2im`, which adds where patches overlap. Your functions give
# LeNet-5's logits. On shuffled pixels the convolution's advantage is gone.
#
# **Assumed.** That neighbours belong together, and that what is worth seeing in one place is
# worth seeing in another. For digits both hold; for a table of patients' records neither does.
#
# **Not tested.** More than one seed. Padding, dilation and groups: the library has them, and
# tests them. Speed: ours is written to be read, and copies a pixel once for each cell of the
# kernel.
#
# **Next: notebook 06.** What is a tensor network?
