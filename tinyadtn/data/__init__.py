"""Data sets: images and labels in three splits, dealt out in batches.

Read ``splits`` (Split, Data, batches), then ``loading`` (``load_data``: from a name, a folder or
arrays) and ``checks`` (what is rejected before a network sees it). ``preprocess`` crops, flips and
computes channel statistics.

The readers trust nothing: ``idx`` for MNIST's files, ``cifar`` for CIFAR's. ``catalogue`` has the
sets that have a name, where they are looked for and with which hash; ``mirrors`` and ``archive``
download and unpack them. ``feature_file`` is a file of features. Skip these at first.
"""
