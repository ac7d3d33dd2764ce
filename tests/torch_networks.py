"""The five networks once more, written with torch's layers from the papers' tables.

Nothing here asks our models how they are built. Layers have our names, so that weights can be
handed over; what a torch layer calls otherwise is in ``OUR_WORDS``.
"""

from collections import OrderedDict

from torch_leg import torch

nn = torch.nn

OUR_WORDS = {"scale": "weight", "shift": "bias", "running_variance": "running_var"}


class Standardize(nn.Module):
    """(x - mean) / std, channel by channel."""

    def __init__(self, channels):
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))

    def forward(self, x):
        return (x - self.mean[:, None, None]) / self.std[:, None, None]


class ContrastNorm(nn.Module):
    """Jarrett et al., ICCV 2009: take away the local mean, divide by the local deviation.

    One 9×9 Gaussian through all channels, its weights summing to 1 where the image has pixels.
    """

    def local_mean(self, x):
        channels = x.shape[1]
        offsets = torch.arange(-4, 5, dtype=torch.float64)
        square = offsets[:, None] ** 2 + offsets**2
        kernel = torch.exp(-square / (2 * (9 / 4) ** 2)).to(x)
        kernel = kernel.expand(1, channels, 9, 9)
        total = nn.functional.conv2d(torch.ones_like(x[:1]), kernel, padding=4)
        return nn.functional.conv2d(x, kernel, padding=4) / total

    def forward(self, x):
        v = x - self.local_mean(x)
        deviation = torch.sqrt(self.local_mean(v**2) + 1e-8)
        typical = deviation.flatten(1).mean(1)[:, None, None, None]
        return v / torch.maximum(deviation, typical)


def row(**layers):
    return nn.Sequential(OrderedDict(layers))


def head(features, classes):
    """The three linear layers that end AlexNet, ZFNet and VGG-16."""
    return {
        "flatten": nn.Flatten(),
        "fc1": nn.Linear(features, 4096),
        "relu_a": nn.ReLU(),
        "dropout1": nn.Dropout(0.5),
        "fc2": nn.Linear(4096, 4096),
        "relu_b": nn.ReLU(),
        "dropout2": nn.Dropout(0.5),
        "fc3": nn.Linear(4096, classes),
    }


def fc2():
    return row(
        flatten=nn.Flatten(), fc1=nn.Linear(784, 256), relu=nn.ReLU(), fc2=nn.Linear(256, 10)
    )


def lenet5():
    return row(
        conv1=nn.Conv2d(1, 6, 5, padding=2),
        relu1=nn.ReLU(),
        pool1=nn.MaxPool2d(2),
        conv2=nn.Conv2d(6, 16, 5),
        relu2=nn.ReLU(),
        pool2=nn.MaxPool2d(2),
        flatten=nn.Flatten(),
        fc1=nn.Linear(400, 120),
        relu3=nn.ReLU(),
        fc2=nn.Linear(120, 84),
        relu4=nn.ReLU(),
        fc3=nn.Linear(84, 10),
    )


def alexnet(original=False, groups=1):
    """The α of the paper multiplies the sum of squares; torch's is divided by the size first."""
    across = {"size": 5, "alpha": 5 * 1e-4, "beta": 0.75, "k": 2.0}
    first = (
        nn.Conv2d(3, 96, 11, stride=4, padding=2) if original else nn.Conv2d(3, 96, 3, padding=1)
    )
    return row(
        normalize=Standardize(3),
        conv1=first,
        relu1=nn.ReLU(),
        norm1=nn.LocalResponseNorm(**across),
        pool1=nn.MaxPool2d(3, stride=2),
        conv2=nn.Conv2d(96, 256, 5, padding=2, groups=groups),
        relu2=nn.ReLU(),
        norm2=nn.LocalResponseNorm(**across),
        pool2=nn.MaxPool2d(3, stride=2),
        conv3=nn.Conv2d(256, 384, 3, padding=1),
        relu3=nn.ReLU(),
        conv4=nn.Conv2d(384, 384, 3, padding=1, groups=groups),
        relu4=nn.ReLU(),
        conv5=nn.Conv2d(384, 256, 3, padding=1, groups=groups),
        relu5=nn.ReLU(),
        pool5=nn.MaxPool2d(3, stride=2),
        **(head(256 * 6 * 6, 1000) if original else head(256 * 3 * 3, 10)),
    )


def zfnet(original=False):
    if original:
        conv1, conv2 = nn.Conv2d(3, 96, 7, stride=2, padding=1), nn.Conv2d(96, 256, 5, stride=2)
    else:
        conv1, conv2 = nn.Conv2d(3, 96, 5, padding=2), nn.Conv2d(96, 256, 5, padding=2)
    return row(
        normalize=Standardize(3),
        conv1=conv1,
        relu1=nn.ReLU(),
        pool1=nn.MaxPool2d(3, stride=2, padding=1 if original else 0),
        norm1=ContrastNorm(),
        conv2=conv2,
        relu2=nn.ReLU(),
        pool2=nn.MaxPool2d(3, stride=2, padding=1 if original else 0),
        norm2=ContrastNorm(),
        conv3=nn.Conv2d(256, 384, 3, padding=1),
        relu3=nn.ReLU(),
        conv4=nn.Conv2d(384, 384, 3, padding=1),
        relu4=nn.ReLU(),
        conv5=nn.Conv2d(384, 256, 3, padding=1),
        relu5=nn.ReLU(),
        pool5=nn.MaxPool2d(3, stride=2),
        **(head(256 * 6 * 6, 1000) if original else head(256 * 3 * 3, 10)),
    )


def vgg16(original=False, batch_norm=False):
    """Configuration D: 64 64 M 128 128 M 256 256 256 M 512 512 512 M 512 512 512 M."""
    layers, channels = {"normalize": Standardize(3)}, 3
    for block, (width, repeats) in enumerate([(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)], 1):
        for k in range(1, repeats + 1):
            layers[f"conv{block}_{k}"] = nn.Conv2d(channels, width, 3, padding=1)
            if batch_norm:
                layers[f"norm{block}_{k}"] = nn.BatchNorm2d(width)
            layers[f"relu{block}_{k}"] = nn.ReLU()
            channels = width
        layers[f"pool{block}"] = nn.MaxPool2d(2)
    return row(**layers, **(head(512 * 7 * 7, 1000) if original else head(512, 10)))


def torch_name(name):
    """What torch calls our parameter or buffer with this name."""
    *layer, last = name.split(".")
    return ".".join([*layer, OUR_WORDS.get(last, last)])


def with_arrays(build, arrays):
    """The torch network that ``build`` describes, with copies of our arrays."""
    with torch.device("meta"):
        network = build()  # shapes only: torch draws no start that would be overwritten
    state = {torch_name(name): torch.tensor(array) for name, array in arrays.items()}
    counters = [name for name in network.state_dict() if name.endswith("num_batches_tracked")]
    state |= {name: torch.tensor(0) for name in counters}
    network.load_state_dict(state, assign=True)
    return network
