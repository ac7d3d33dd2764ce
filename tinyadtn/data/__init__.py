"""Data sets: from files or arrays to images and labels in three splits.

Read ``splits`` first (``Data``, ``Split``, ``batches``), then ``loading`` (``load_data``) and
``preprocess`` (normalization and augmentation). The other files may be skipped at first:

- ``catalogue``: the named data sets, the folders where they are searched for, and ``download``.
- ``readers``: which layout a file or folder has. One file per layout: ``idx``, ``cifar``,
  ``picture_files``, ``csv_file``, ``saved_data`` (images or features, prepared once).
- ``picture``: one picture file for ``predict``, a photo of a digit, say.
- ``usual_names`` of arrays and files, such as x_train; ``labels`` that are names of classes.
- ``image_checks``: checks of images and labels; ``card``: a summary of a data set.
- ``fetching``: downloads through pooch, and unpacking of archives.
"""
