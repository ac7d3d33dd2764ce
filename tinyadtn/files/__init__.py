"""Files: written completely or not at all, and read without trust.

Read ``npz`` (the format, and a reader that believes no size and runs no pickle), then ``atomic`` (a
file takes the place of the old one only when it is complete) and ``state``: arrays with a
description and their hashes, which checkpoints and files of features are. ``datafile`` is what the
readers of data files share. No file here knows of models.
"""
