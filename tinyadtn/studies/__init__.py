"""Comparisons: one network compressed in several ways, and sweeps over many runs.

A sweep is read in this order:

- ``spec``: reads a TOML file into a list of runs.
- ``configuration``: the options of a row, with all defaults; a run depends on nothing else.
- ``run``: does one run, from its configuration to its record.
- ``sweep``: does all runs in parallel and writes one file of results.
- ``table``: mean and spread of the results, as text, in Markdown and as a picture.
- ``sensitivity``: encodes one layer at a time and returns the drop of the accuracy.
- ``experiment``: the sweep behind ``tinyadtn compress``, whose networks are kept.

``networks`` (builds the dense network), ``parts`` (a user's own networks and encodings),
``workers`` (processes and executors), ``results`` and ``experiment_files`` (what is written) may be
skipped at first.
"""
