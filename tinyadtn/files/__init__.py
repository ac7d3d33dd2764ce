"""Files that are written whole or not at all, and read without trust.

Read in this order:

- ``npz``: the ``.npz`` format, written plainly and checked while it is read.
- ``atomic``: replacing a file in one step.
- ``state``: arrays and a JSON text in one file, every array with its hash.

``datafile`` opens the files of data sets and words their errors; it may be skipped at first.
"""
