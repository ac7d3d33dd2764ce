"""The command line, ``tinyadtn``: a thin layer over the public functions.

Read in this order:

- ``main``: runs one command; every error becomes one line and an exit code.
- ``parser``: the commands and their options; ``argument_types`` checks the values of options,
  ``encode_option`` that of --encode.
- ``commands``: one function per command; ``data_commands`` and ``sweep_command``: the others.

``terminal`` (safe printing) and ``picture`` (reading a photo of a digit) may be skipped at first.
"""
