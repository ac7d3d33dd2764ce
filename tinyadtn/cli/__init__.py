"""The command line, ``tinyadtn``: a thin layer over the public functions.

Read in this order:

- ``main``: runs one command; every error becomes one line and an exit code.
- ``parser``: the commands and their options; ``argument_types`` checks the values of options.
- ``commands``: one function per command; ``sweep_command``: the command ``sweep``.

``terminal`` (safe printing) and ``picture`` (reading a photo of a digit) may be skipped at first.
"""
