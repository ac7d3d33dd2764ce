"""Import a package that only the exchange with other programs needs."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from ..errors import TinyADTNError


def optional(name: str) -> Any:
    """Return the package; TinyADTNError that says how to install it if it is missing.

    >>> optional("json").dumps([1])
    '[1]'
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise TinyADTNError(
            f"this needs {package}, which cannot be imported ({error}); "
            f"{sys.executable} -m pip install {package}"  # a plain pip may be of another Python
        ) from error
