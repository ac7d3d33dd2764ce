# %% [markdown]
# # 05 Is convolution a matrix product in disguise?
#
# The network of notebook 04 does not use that pixels have neighbours. Shuffle all pixels, the same
# way in every image, and it learns just as well. A convolution uses one thing more: it looks at
# small windows, and at all of them with the same weights.
#
# It looks like a new kind of operation, with a difficult backward pass. It is neither. Lay the
# windows out as the columns of a matrix, and what remains is a product, whose adjoint you know
# since notebook 03.
#
# **Study time** 90 minutes. **You need** notebook 03: contractions, and the adjoint identity.
# **Afterwards you can** write a convolution and a pooling layer with their gradients, and predict
# their output sizes. And you can say why LeNet-5 beats a larger network on digits.
#
# **Recap of notebook 04.** A network of two layers, `784-256-10`, learned to read about nine of ten
# new digits. Its loss started at $\ln 10$, and with shuffled labels it learned nothing but the
# list. The loop is: a batch, the loss, `backward`, one step of Adam.

# %%
import numpy as np

import tinyadtn as ta
from tinyadtn import teach
from tinyadtn.course.pictures.patches import sliding_patches
from tinyadtn.course.pictures.rows import rows_as_images

rng = np.random.default_rng(0)

# %% [markdown]
# ## A window slides over an image
#
# At each place, multiply the pixels under the window with the weights of the **kernel**, and add
# up. The kernel below is called **Sobel**. Its result is large where the image is bright on the
# left and dark on the right, that is, at vertical edges. (The kernel is not flipped; a
# mathematician would say correlation.) The plain way to write it:


# %%
def plain_convolution(image, kernel):
    k = len(kernel)
    high, wide = image.shape[0] - k + 1, image.shape[1] - k + 1
    out = np.zeros((high, wide))
    for i in range(high):
        for j in range(wide):
            out[i, j] = np.sum(image[i : i + k, j : j + k] * kernel)
    return out


rows = ("001200", "013300", "021300", "000310", "001320", "002310")  # a digit for each pixel
image = np.array([[float(pixel) for pixel in row] for row in rows])
sobel = np.array([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]])
print(image)
print(plain_convolution(image, sobel))

# %% [markdown]
# ## How large is the result?
#
# A window of width $k$ fits into a row of $h$ pixels at $h - k + 1$ places. If it moves by $s$
# pixels at a time, the **stride**, only every $s$-th of them counts. A border of $b$ zeros on each
# side, the **padding**, adds $2b$ pixels. Together, where the brackets round down:
#
# $$\text{output size} = \left\lfloor \frac{h + 2b - k}{s} \right\rfloor + 1$$
#
# Apply it twice. LeNet-5 reads 28 pixels with a padding of 2 and windows of 5. AlexNet, a later and
# larger network, reads 227 pixels without padding, with windows of 11 and a stride of 4.


# %%
def output_size(h, k, stride=1, padding=0):
    return (h + 2 * padding - k) // stride + 1


# %%
my_guess_lenet = None
my_guess_alexnet = None

# %%
teach.reveal(my_guess_lenet, output_size(28, 5, padding=2), "LeNet-5")
teach.reveal(my_guess_alexnet, output_size(227, 11, stride=4), "AlexNet")

# %% [markdown]
# ## Lay the windows side by side
#
# `my_im2col` (image to columns) makes a matrix with one column for each place of the window. It
# loops over the cells of the kernel, not over the places. For one cell, the pixels of all places
# are a slice of the image. Images come as (n, c, h, w): how many, channels, rows, columns. Ours is
# one image with one channel; a later section explains channels.
#
# Which shape does the matrix have, for the 6×6 image and a 3×3 window?


# %%
def my_im2col(x, k, stride=1):
    n, c, h, w = x.shape
    oh, ow = output_size(h, k, stride), output_size(w, k, stride)
    columns = np.empty((n, c, k, k, oh, ow), x.dtype)
    for p in range(k):
        for q in range(k):
            rows, cols = slice(p, p + stride * oh, stride), slice(q, q + stride * ow, stride)
            columns[:, :, p, q] = x[:, :, rows, cols]
    return columns.reshape(n, c * k * k, oh * ow)


# %%
my_guess_shape = None

# %%
columns = my_im2col(image[None, None], 3)[0]
teach.reveal(my_guess_shape, columns.shape)
product = sobel.reshape(1, 9) @ columns
print("the product, read as an image:")
print(product.reshape(4, 4))

# %% [markdown]
# ## The picture to keep
#
# Press play. At each place the patch becomes a column. The kernel, written as a row, meets all
# columns alike. The entries of the product, read as an image, are the convolution. Follow the
# marked pixel: it is copied into the matrix once for each window that contains it. Keep that in
# mind for the way back.

# %%
sliding_patches(image, sobel, pixel=(2, 2))

# %% [markdown]
# ## Channels are summed
#
# A colour image has three **channels**: red, green and blue. Then the kernel has one slice for each
# channel. Every slice meets its own channel, and *the results of all channels are added*. So one
# kernel gives one output channel, however many channels the input has. Several kernels $o$ give
# several output channels. Let $i, j$ be a place of the window and $p, q$ a cell of the kernel:
#
# $$y_{o,i,j} = \sum_{c}\sum_{p,q} w_{o,c,p,q}\; x_{c,\,i+p,\,j+q}$$
#
# In the patch matrix nothing changes. The rows of the second channel stand below those of the
# first, and the product sums over all of them. Check it with two channels and one kernel.

# %%
two = np.stack([image, image.T])  # channels 0 and 1
kernel = np.stack([sobel, 10 * sobel])  # one slice for each
by_channel = [plain_convolution(two[c], kernel[c]) for c in (0, 1)]
product = kernel.reshape(1, 18) @ my_im2col(two[None], 3)[0]
print("sum over channels:")
print(by_channel[0] + by_channel[1])
print("largest difference from the product:", abs(sum(by_channel) - product.reshape(4, 4)).max())

# %% [markdown]
# ## The disguise
#
# A convolution is linear in the image. So it *is* a matrix: 36 pixels go in, 16 entries come out.
# Its columns are the results for images with a single bright pixel. Guess how many different
# values, other than 0, stand in its 576 entries.

# %%
my_guess_values = None

# %%
units = np.eye(36).reshape(36, 6, 6)
nine = np.arange(1.0, 10.0).reshape(3, 3)  # a kernel of nine different weights
matrix = np.array([plain_convolution(unit, nine).ravel() for unit in units]).T
teach.reveal(my_guess_values, len(np.unique(matrix)) - 1)
print(f"shape {matrix.shape}, {np.count_nonzero(matrix)} of {matrix.size} entries are not 0")

# %% compare
teach.states("576", matrix.size, always=True)
teach.states("16", matrix.shape[0], always=True)

# %% [markdown]
# Nine weights, used over and over: that is what it means that all windows are read with the same
# weights. To see where they stand, read the first two rows of the matrix as images.

# %%
print(matrix[:2].reshape(2, 6, 6).astype(int))

# %% [markdown]
# Each row of the matrix is the kernel at one place, with zeros around it. In the next row it has
# moved by one pixel. This is the disguise: `my_im2col` never builds this large matrix, most of
# which is 0.
#
# ## Exercise: col2im, the way back
#
# `my_im2col` copies pixels. You know the adjoint of copying: the copies add up. `col2im` puts each
# column back to where its patch came from, and *adds*.
#
# Write it. The check draws shapes, kernels and strides, and uses the adjoint identity, $\langle
# \text{columns}, \text{im2col}(x)\rangle = \langle \text{col2im}(\text{columns}), x\rangle$.


# %%
def col2im(columns, shape, k, stride=1):
    """The adjoint of my_im2col: an array of this shape (n, c, h, w)."""


# %% solution: col2im
def col2im(columns, shape, k, stride=1):
    n, c, h, w = shape
    oh, ow = (h - k) // stride + 1, (w - k) // stride + 1
    columns = columns.reshape(n, c, k, k, oh, ow)
    out = np.zeros(shape, columns.dtype)
    for p in range(k):
        for q in range(k):
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
# Now all images and several kernels at once. The weight is (o, c, k, k), which as a matrix is (o,
# ckk). Forward is one product. Backward, the adjoint of the weight is a product with the columns
# transposed. The adjoint of the image is a product with the weight transposed, and then `col2im`.
# The two lines are those of `matmul` in notebook 03.


# %%
def my_conv(x, weight, *, stride=1):
    o, _, k, _ = weight.shape
    n, oh = len(x), output_size(x.shape[2], k, stride)
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

# %% [markdown]
# ## Exercise: max-pooling with overlap
#
# A **max-pool** passes on the largest pixel of each window, channel by channel. Backward, the
# largest pixel gets the adjoint, the others get nothing. In AlexNet the windows are 3 wide and move
# by 2, so *one pixel can be the largest of two windows*. Write `max_pool_vjp(x, g, k, stride)`: the
# adjoint of `x`. Loops are fine. In the check, no window has two largest pixels.


# %%
def max_pool_vjp(x, g, k, stride):
    """dL/dx, where g (n, c, oh, ow) is dL/d(the largest of each window)."""


# %% solution: max-pool
def max_pool_vjp(x, g, k, stride):
    out = np.zeros(x.shape, g.dtype)
    for n, c, i, j in np.ndindex(g.shape):
        top, left = i * stride, j * stride
        patch = x[n, c, top : top + k, left : left + k]
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
# LeNet-5 is two convolutions, each followed by a relu and a max-pool, and then three linear layers
# (LeCun and others, 1998). A convolution has windows of 5, and only the first has a padding, of 2.
# The windows of a pool are 2 wide and move by 2.
#
# Predict: the second convolution has 16 kernels. How many values of an image of 28×28 pixels reach
# the first linear layer?

# %%
my_guess_values_left = None

# %%
side = 28
for padding in (2, 0):
    after_convolution = output_size(side, 5, padding=padding)
    after_pool = output_size(after_convolution, 2, stride=2)
    print(f"side {side} -> {after_convolution} -> {after_pool}")
    side = after_pool
teach.reveal(my_guess_values_left, 16 * side**2)

# %% [markdown]
# To show that nothing else is in LeNet-5, run its weights through your own functions.


# %%
def block(x, layer):
    linear = my_conv(x, layer.weight.data)[0] + layer.bias.data[:, None, None]
    return my_max_pool(np.maximum(linear, 0), kernel=2, stride=2)[0]


def my_lenet(model, x):
    x = np.pad(x, ((0, 0), (0, 0), (2, 2), (2, 2)))
    x = block(block(x, model.conv1), model.conv2).reshape(len(x), -1)
    for layer in (model.fc1, model.fc2):
        x = np.maximum(x @ layer.weight.data.T + layer.bias.data, 0)
    return x @ model.fc3.weight.data.T + model.fc3.bias.data


# %%
data = ta.load_data("mnist-5k")
model, dense = ta.models.lenet5(rng=0), ta.models.fc2(rng=0)
some = data.test.images[:50]
difference = abs(my_lenet(model, some) - model(some).numpy()).max()
print(f"logits differ by {difference:.0e}")
print(f"parameters: LeNet-5 {model.num_parameters:,}, FC-2 {dense.num_parameters:,}")

# %% [markdown]
# ## Predict: what are neighbours worth?
#
# FC-2 is the network `784-256-10` of notebook 04. Train both networks on the digits, and both on
# *shuffled pixels*: one fixed permutation for all images. No information is lost, because the
# permutation could be undone. Guess the four test accuracies, in percent.

# %%
my_guess_lenet_digits = None
my_guess_fc2_digits = None
my_guess_lenet_shuffled = None
my_guess_fc2_shuffled = None

# %%
order = np.random.default_rng(5).permutation(784)


def shuffle_pixels(split):
    return split.images.reshape(-1, 784)[:, order].reshape(-1, 1, 28, 28), split.labels


splits = {name: getattr(data, name) for name in ("train", "validation", "test")}
shuffled = ta.load_data({name: shuffle_pixels(split) for name, split in splits.items()})


def trained_accuracy(model, data):
    for _ in ta.train(model, data, epochs=teach.pick(12, 1), learning_rate=3e-3):
        pass
    return 100 * ta.evaluate(model, data.test).accuracy


# %%
lenet_digits = trained_accuracy(model, data)
fc2_digits = trained_accuracy(dense, data)
lenet_shuffled = trained_accuracy(ta.models.lenet5(rng=0), shuffled)
fc2_shuffled = trained_accuracy(ta.models.fc2(rng=0), shuffled)
teach.reveal(my_guess_lenet_digits, lenet_digits, "LeNet-5, digits")
teach.reveal(my_guess_fc2_digits, fc2_digits, "FC-2, digits")
teach.reveal(my_guess_lenet_shuffled, lenet_shuffled, "LeNet-5, shuffled")
teach.reveal(my_guess_fc2_shuffled, fc2_shuffled, "FC-2, shuffled")

# %% compare
teach.states("96", lenet_digits, within=1.5)
teach.states("91", fc2_digits, within=2)

# %% [markdown]
# LeNet-5 reads about 96 % of the new digits. FC-2 reads about 91 %, with three times as many
# parameters. The advantage is gone once the pixels are shuffled. So it was neither the number of
# parameters nor the number of layers. It was *the assumption* that neighbours belong together.
#
# ## What the first layer looks for
#
# The first row shows the six kernels of the first layer, of 5×5 pixels each. Yellow is positive,
# blue is negative, and grey is 0. The second row shows what each computes from one digit, after the
# relu. Some maps are bright inside the stroke, others along one of its edges.

# %%
digit = np.pad(data.test.images[:1], ((0, 0), (0, 0), (2, 2), (2, 2)))
maps = np.maximum(my_conv(digit, model.conv1.weight.data)[0][0], 0)
kernels = model.conv1.weight.data[:, 0]
rows_as_images({"kernel": kernels, "its map": maps}, "The first layer of LeNet-5, trained")

# %% [markdown]
# ## Challenge: find the kernel
#
# Someone sends you an image, and the same image after a convolution, with a little noise. The
# kernel is not included. Find it!
#
# A convolution is linear in the kernel, too. Each entry of the result is one equation for the
# weights of the kernel, and the patch matrix holds the coefficients. Write `find_kernel(image,
# result, k)`. It returns a (k, k) array.


# %%
def find_kernel(image, result, k):
    """Return the kernel of shape (k, k) that turned the image into the result."""


# %% solution: find the kernel
def find_kernel(image, result, k):
    windows = np.lib.stride_tricks.sliding_window_view(image, (k, k))
    equations = windows.reshape(-1, k * k)  # one row for each place of the window
    weights, *_ = np.linalg.lstsq(equations, result.ravel(), rcond=None)
    return weights.reshape(k, k)


# %%
find_kernel = teach.check("find the kernel", find_kernel)
mystery = rng.normal(size=(5, 5))
photo = data.test.images[1, 0].astype(float)
blurred = plain_convolution(photo, mystery)
print(f"largest error for a digit: {abs(find_kernel(photo, blurred, 5) - mystery).max():.0e}")

# %% [markdown]
# ## Ledger
#
# **Shown.** A convolution is a matrix product with a matrix of patches, and channels are summed.
# Its backward pass is the same product transposed, and `col2im`, which adds where patches overlap.
# Your functions give the logits of LeNet-5. On shuffled pixels the advantage of the convolution is
# gone.
#
# **Assumed.** Neighbours belong together, and what matters in one place matters in another. For
# digits both are true; for a table of patients' records neither is.
#
# **Not tested.** More than one seed. Dilation and groups: the library has them, and tests them.
# Speed: ours is written to be read, and copies a pixel once for each cell of the kernel.
#
# **Next: notebook 06.** What can a few parameters never become?
