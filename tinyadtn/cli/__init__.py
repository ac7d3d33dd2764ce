"""The command line, ``tinyadtn``: a thin layer over the public functions.

Read in this order:

- ``main``: runs one command; every error becomes one line and an exit code.
- ``parser``: the commands and their options; ``argument_types`` checks the values of options,
  ``encode_option`` that of --encode.
- ``recipes``: the options of a training run that a network has by default.
- ``train_command``, ``compress_command``, ``sweep_command``: what takes long.
- ``checkpoint_commands``, ``data_commands``: one function per command.
- ``inputs``: the checkpoint, the network and the data that a command works on.

``terminal`` (safe printing), ``outputs`` (what may be replaced) and ``signals`` (Ctrl-C) may be
skipped at first.
"""
