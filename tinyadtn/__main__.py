"""Run the command line: ``python -m tinyadtn``."""

import sys

from .cli.main import main

sys.exit(main())
