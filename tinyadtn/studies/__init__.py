"""Comparisons: one network compressed in several ways, and sweeps over many runs.

``experiment`` stands alone: dense, fitted, fine-tuned, random and frozen networks on the same data.
A sweep is read in this order:

- ``spec``: a TOML file becomes a list of runs, each with all its options.
- ``run``: one run, from its configuration to its record.
- ``sweep``: all runs, in parallel, into one file.
- ``table``: mean and spread of the results, as text, in Markdown and as a picture.

``workers`` (processes and executors) and ``results`` (the file) may be skipped at first.
"""
