"""Comparisons: one network compressed in several ways, and sweeps over many runs.

``experiment`` is independent: dense, fitted, fine-tuned, random and frozen networks, same data.
A sweep is read in this order:

- ``spec``: reads a TOML file into a list of runs, each with all its options.
- ``run``: does one run, from its configuration to its record.
- ``sweep``: does all runs in parallel and writes one file of results.
- ``table``: mean and spread of the results, as text, in Markdown and as a picture.

``workers`` (processes and executors) and ``results`` (the file) may be skipped at first.
"""
