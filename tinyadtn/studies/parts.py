"""What a spec can name, a user's own parts included: "module:name"."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..compression.configure import ENCODINGS, options_of
from ..encodings.encoding import Encoding, Recipe
from ..errors import TinyADTNError, nearest
from ..nn.models import MODELS

GIVEN = ("num_classes", "image_size", "channels", "rng")  # what a study passes to a network


def encoding_named(name: str) -> Any:
    """Return an encoding of the package, or the class that "folder/module:name" names."""
    if name in ENCODINGS:
        return ENCODINGS[name]
    kind = _imported(name)
    if not (isinstance(kind, type) and issubclass(kind, Encoding)):
        raise TinyADTNError(f"{name} must be a subclass of ta.Encoding, got {kind!r}")
    return kind


def recipe_of(entry: Mapping[str, Any]) -> Recipe:
    """Return the recipe of an entry {encoding: name, option: value, …}; ``of`` is an entry too."""
    options = options_of(entry)
    if "of" in options:
        options["of"] = recipe_of(options["of"])
    return encoding_named(entry["encoding"]).like(**options)


def network_named(name: str) -> Any:
    """Return the function that makes a network of the package, or the one in "folder/module:name".

    TinyADTNError, before it is called, for a function that does not take all of ``GIVEN``.
    """
    if name in MODELS:
        return MODELS[name]
    build = _imported(name)
    taken = inspect.signature(build).parameters if inspect.isfunction(build) else {}
    lacking = [argument for argument in GIVEN if argument not in taken]
    if lacking:
        raise TinyADTNError(
            f"{name} must be a function of {', '.join(GIVEN)} that returns a ta.Sequential; "
            f"{build!r} does not take {', '.join(lacking)}"
        )
    return build


def training_part(name: Any) -> Any:
    """Return the optimizer, schedule or loss in "folder/module:name"; another name as it is."""
    return _imported(name) if is_own(name) else name


def is_own(name: Any) -> bool:
    """Return whether this is the name of a part of the user, "module:name"."""
    return isinstance(name, str) and ":" in name


def _imported(place: str) -> Any:
    """Return an object of a module that lies in the folder, or else anywhere that Python looks."""
    path, _, name = place.rpartition(":")
    folder, module = Path(path).absolute().parent, Path(path).name
    sys.path.insert(0, str(folder))
    found = None
    try:
        found = importlib.import_module(module)
        part = getattr(found, name)
    except Exception as error:  # a user's module may raise anything
        raise TinyADTNError(
            f"{module}:{name} cannot be imported from {folder} ({type(error).__name__}: {error})"
            f"{nearest(name, vars(found)) if found else ''}"
        ) from error
    finally:
        sys.path.remove(str(folder))
    here, loaded = folder / f"{module}.py", getattr(found, "__file__", None)
    if here.exists() and (loaded is None or not here.samefile(loaded)):
        raise TinyADTNError(
            f"{here} was not imported, because this process has loaded another module called "
            f"{module} ({loaded}); rename the file"
        )
    return part
