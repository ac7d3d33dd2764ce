"""Images and labels as users have them, in arrays, CSV files and folders of pictures: for tests."""

import csv

import numpy as np
from PIL import Image

NAMES = np.array(["dog", "cat", "hen"])


def some(count, shape=(6, 6), seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, *shape), dtype=np.uint8), np.arange(count) % 3


X, Y = some(36)
X_TEST, Y_TEST = some(9, seed=1)


def same(data, expected):
    assert data.identity()["sha256"] == expected.identity()["sha256"]
    np.testing.assert_array_equal(data.test.images, expected.test.images)
    np.testing.assert_array_equal(data.test.labels, expected.test.labels)


def write_csv(path, images, labels, *, head=True, delimiter=",", column=0, encoding="utf-8"):
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.writer(file, delimiter=delimiter)
        names = [f"pixel{k}" for k in range(images[0].size)]
        if head:
            writer.writerow([*names[:column], "label", *names[column:]])
        for image, label in zip(images, labels):
            row = image.ravel().tolist()
            writer.writerow([*row[:column], label, *row[column:]])
    return path


def write_pictures(folder, images, labels, *, ending=".png", change=lambda picture: picture):
    for k, (image, label) in enumerate(zip(images, labels)):
        place = folder / str(label)
        place.mkdir(parents=True, exist_ok=True)
        change(Image.fromarray(image)).save(place / f"{k:03}{ending}")
