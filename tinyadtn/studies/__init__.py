"""Comparisons: one network compressed in several ways, and sweeps over many runs.

``experiment`` stands alone: dense, fitted, fine-tuned, random and frozen networks on the same data.
A sweep is read in this order:

- ``spec``: a TOML file becomes a list of runs; ``config``: all options of one run.
- ``run``: one run, from its configuration to its record.
- ``sweep``: all runs, in parallel, into one file.
- ``table``, ``markdown``: mean and spread of the results.

``workers`` (processes and executors) and ``results`` (the file) may be skipped at first.
"""
