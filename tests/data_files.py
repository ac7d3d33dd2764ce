"""Small data sets in every layout, and a server for them on this machine: for the tests."""

import gzip
import hashlib
import io
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

from tinyadtn.data.cifar import CIFAR10, CIFAR100

NAMES = {
    "train-images": "train-images-idx3-ubyte",
    "train-labels": "train-labels-idx1-ubyte",
    "validation-images": "validation-images-idx3-ubyte",
    "validation-labels": "validation-labels-idx1-ubyte",
    "t10k-images": "t10k-images-idx3-ubyte",
    "t10k-labels": "t10k-labels-idx1-ubyte",
}


def idx_bytes(values):
    lengths = b"".join(length.to_bytes(4, "big") for length in values.shape)
    return bytes([0, 0, 8, values.ndim]) + lengths + values.tobytes()


def small_set(seed=0, *, train=24, test=6, validation=0):
    """{file: array}, three classes, every image different."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for prefix, count in (("train", train), ("validation", validation), ("t10k", test)):
        if count:
            arrays[f"{prefix}-images"] = rng.integers(0, 256, (count, 4, 5), dtype=np.uint8)
            arrays[f"{prefix}-labels"] = (np.arange(count) % 3).astype(np.uint8)
    return arrays


def write_set(folder, arrays, *, ending=".gz", pack=gzip.compress):
    folder.mkdir(parents=True, exist_ok=True)
    for key, values in arrays.items():
        (folder / (NAMES[key] + ending)).write_bytes(pack(idx_bytes(values)))
    return folder


def hashes(arrays):
    return {key: hashlib.sha256(idx_bytes(values)).hexdigest() for key, values in arrays.items()}


# CIFAR

CLASS_NAMES = {
    CIFAR10: [f"thing {k}" for k in range(10)],
    CIFAR100: [f"fine_thing_{k}" for k in range(100)],
}


def cifar_records(layout, count, seed=0, *, first=0):
    """uint8 (count, record): random pixels, the classes in turn."""
    rng = np.random.default_rng((seed, count, first))
    records = rng.integers(0, 256, (count, layout.record), dtype=np.uint8)
    for column, values in enumerate(layout.labels):
        records[:, column] = np.arange(first, first + count) % values
    return records


def cifar_files(layout, counts=(200, 100), seed=0):
    """{file: bytes} of a small set in this layout, as many images of each class."""
    files = {layout.names: ("\n".join(CLASS_NAMES[layout]) + "\n\n").encode()}
    for count, names, base in zip(counts, (layout.train, layout.test), (0, 1000)):
        each = count // len(names)
        for k, name in enumerate(names):
            files[name] = cifar_records(layout, each, seed + base + k, first=k * each).tobytes()
    return files


def write_files(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def tar_gz(members):
    """An archive of (name or TarInfo, bytes) in this order."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as tar:
        for name, content in members:
            member = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def cifar_archive(layout, files):
    """As the official one: a folder, its files, and a readme that nobody needs."""
    folder = tarfile.TarInfo(layout.folder)
    folder.type = tarfile.DIRTYPE
    inside = [(f"{layout.folder}/{name}", content) for name, content in files.items()]
    return tar_gz([(folder, b""), (f"{layout.folder}/readme.html", b"<html>"), *inside])


class Mirror:
    """Serves ``files`` {path: bytes} and keeps a list of what was asked for."""

    def __init__(self):
        self.files, self.asked = {}, []
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                mirror.asked.append(self.path)
                content = mirror.files.get(self.path)
                self.send_response(404 if content is None else 200)
                self.send_header("Content-Length", str(len(content or b"")))
                self.end_headers()
                self.wfile.write(content or b"")

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def serve(self, folder, arrays):
        for key, values in arrays.items():
            path = f"/{folder}/{NAMES[key]}.gz"
            self.files[path] = gzip.compress(idx_bytes(values))
        return f"{self.url}/{folder}/"

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
