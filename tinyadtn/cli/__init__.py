"""The command line: ``tinyadtn train``, ``compress``, ``sweep`` and the others.

Read ``parser`` (what can be written on the command line) and ``commands`` (what each command does;
``sweep_command`` is the largest of them). ``main`` turns errors into one line and an exit code.
``argument_types`` reads the values of options, ``picture`` an image for ``predict``, and
``terminal`` makes names safe to print.
"""
