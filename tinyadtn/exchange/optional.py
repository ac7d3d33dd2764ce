"""Import a package that only the exchange with other programs needs."""

from __future__ import annotations

import importlib
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
        extra = name.partition(".")[0]
        raise TinyADTNError(
            f"this needs {extra}, which cannot be imported ({error}); "
            f"pip install 'tinyadtn[{extra}]'"
        ) from error
