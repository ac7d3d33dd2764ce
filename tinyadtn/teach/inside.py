"""The process in which the answers of one student run: it defines answers and calls them.

It knows no right value and gives no verdict. It reads calls of the grader (`sandbox`) from its
standard input and writes results to its standard output; what an answer prints goes nowhere.

``confine`` limits memory and processor time, and rejects files of the course's solutions, writing
outside the folder of this process, the network and other programs. It is a fence against cheating
and accidents, and not a prison: Python code that wants to can climb it.
"""

from __future__ import annotations

import importlib
import json
import linecache
import os
import sys
import types
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np

from .. import teach
from .exercises import UnexpectedResultError
from .judging import CHANGES, is_changed, name_error
from .messages import End

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

# Prefixes of the audit events (PEP 578) that reach the network, other programs or processes.
FORBIDDEN = (
    "socket.", "subprocess.", "ctypes.", "os.system", "os.exec", "os.fork", "os.posix_spawn",
    "os.spawn", "os.startfile", "os.kill", "os.link", "os.symlink", "os.chmod", "os.chown",
    "os.putenv", "pty.", "ftplib.", "smtplib.", "urllib.", "webbrowser.", "winreg.", "syslog.",
    "sqlite3.",
)  # fmt: skip
CHANGING = ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.truncate", "shutil.")


def main() -> None:
    """Do the calls of the grader until it closes the pipe."""
    settings = json.loads(sys.argv[1])
    end = Inside()
    end.reader, end.writer = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    end.kept = [define]
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(nowhere, number)
    for name in ("check", "hint", "reveal", "solution", "states", "status"):
        setattr(teach, name, _silent)
    confine(settings["megabytes"], settings["seconds"], settings["hidden"])
    end.send({})  # ready
    with suppress(EOFError):
        end.serve()


def _silent(name: Any = None, answer: Any = None, **options: Any) -> Any:
    """Replace the functions of `teach`: no solution may be reached from here."""
    return answer


def confine(megabytes: int, seconds: int, hidden: list[str]) -> None:
    """Set the limits, and reject the files in ``hidden`` and everything in FORBIDDEN."""
    if resource is not None:
        size = megabytes * 2**20
        with suppress(ValueError, OSError):  # macOS has no such limit
            resource.setrlimit(resource.RLIMIT_AS, (size, size))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    realpath, isdir, decode, separator = os.path.realpath, os.path.isdir, os.fsdecode, os.sep
    own = realpath(os.curdir) + separator
    prefixes = tuple(realpath(path) for path in hidden)
    path_types = (str, bytes, os.PathLike)

    def is_own(place: str) -> bool:
        return f"{place}{separator}".startswith(own)  # a folder next to it may begin with its name

    def reject(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = arguments
            if isinstance(path, int):
                return
            place = realpath(decode(path))
            if place == os.devnull:
                return
            if place.startswith(prefixes) or (mode is None and isdir(place)):
                raise PermissionError("the grader does not let an answer read this file")
            if _writes(flags) and not is_own(place):
                raise PermissionError("the grader does not let an answer write this file")
        elif event in ("os.listdir", "os.scandir"):
            if realpath(decode(arguments[0] or ".")).startswith(prefixes):
                raise PermissionError("the grader does not let an answer list this folder")
        elif event.startswith(FORBIDDEN):
            raise PermissionError(f"the grader does not let an answer use {event}")
        elif event.startswith(CHANGING):
            # All of them: the second of os.rename is the new name.
            paths = [decode(path) for path in arguments if isinstance(path, path_types)]
            if not all(is_own(realpath(path)) for path in paths):
                raise PermissionError("the grader does not let an answer change this file")

    sys.addaudithook(reject)


def _writes(flags: int) -> bool:
    return bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND))


class Inside(End):
    """The end in the process of the answer."""

    def reply(self, function: Any, arguments: Any, options: Any) -> dict[str, Any]:
        try:
            before = [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
            result = function(*arguments, **options)
            if any(map(is_changed, before, arguments)):
                raise UnexpectedResultError(CHANGES)
            return {"result": self.pack(result)}
        except BaseException as error:
            kind, text, line = name_error(error)
            return {"error": [kind, text[:2000], line[:200]]}


def define(source: list[str], expression: str, ask: str) -> Any:
    """Run the statements, and return the value of the expression: the answer.

    A statement that fails does not stop the others: the answer may not need it.
    """
    name = f"notebook_{len(sys.modules)}"
    module = types.ModuleType(name)
    sys.modules[name] = module
    module.__dict__["display"] = _silent
    first_error: BaseException | None = None
    for number, statement in enumerate(source):
        file = f"<{name}, {number}>"
        linecache.cache[file] = (len(statement), None, statement.splitlines(True), file)
        try:
            exec(compile(statement, file, "exec"), module.__dict__)
        except BaseException as error:
            first_error = first_error or error
    try:
        answer = eval(expression, module.__dict__)
    except BaseException as error:
        raise first_error or error from None
    if ask and answer is not None and answer is not NotImplemented:
        folder, _, function = ask.partition(":")
        return partial(getattr(importlib.import_module(folder), function), answer)
    return answer
