"""Data sets: from files or arrays to images and labels in three splits.

Read ``splits`` first (``Data``, ``Split``, ``batches``), then ``loading`` (``load_data``) and
``preprocess`` (normalization and augmentation). The other files may be skipped at first:

- ``catalogue``: the named data sets, the folders where they are searched for, and ``download``.
- ``idx``, ``cifar``: readers of the two file formats.
- ``feature_file``: features of images, saved as a data set.
- ``image_checks``: checks of images and labels.
- ``fetching``: downloads through pooch, and safe unpacking of archives.
"""
