"""Studies: many runs from one file, and what ``tinyadtn compress`` does from start to end.

Read ``experiment`` (dense, fitted, fine-tuned, frozen, side by side). A sweep: ``spec`` turns a
TOML file into runs, ``config`` holds all that decides one, ``run`` does one, ``results`` is the
file they go to, ``workers`` are processes or any executor, ``sweep`` is the loop. ``table`` and
``markdown`` show what came out.
"""
