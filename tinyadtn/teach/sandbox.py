"""The grader's side of the process in which a student's answers run.

    with Sandbox(seconds=20) as sandbox:
        answer = sandbox.answer(["def double(x):", ...], "double")
        judge(exercise, answer, seed)

The check runs here and holds the right values; the answer runs there and sees only the arguments
of each call (`inside`). So an answer can print, exit, patch or call what it wants: the verdict is
a comparison of what it returned.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from ..tables import printable
from .exercises import AnswerError, solution_files
from .judging import name_error
from .messages import pack, unpack

PACKAGE = Path(__file__).parents[1]
STARTING = 120  # seconds in which the process must have started
LONGEST = 64 * 2**20  # bytes of one message
HIDDEN = ("/proc", "/sys", "/dev/mem")


class RemoteError(Exception):
    """An error that the answer raised; ``raised`` has its type, text and line."""

    def __init__(self, raised: Any) -> None:
        kind, text, line = (printable(str(part)) for part in raised)
        self.raised = (kind, text, line)
        super().__init__(f"{kind}: {text}")


class Remote:
    """An object of the other process. It can be called and sent back."""

    is_remote = True
    __slots__ = ("_number", "_sandbox", "_type")

    def __init__(self, sandbox: Sandbox, number: int, kind: str) -> None:
        self._sandbox, self._number, self._type = sandbox, number, kind

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self._sandbox.ask("call", self._number, arguments, options)

    def __repr__(self) -> str:
        return f"<an object of type {self._type}>"


class Sandbox:
    """One process for the answers of one student, started when it is needed.

    ``seconds`` limits the time for one answer, with all cases of its check; ``megabytes`` limits
    the memory (on Linux). Files that begin with a path of ``hidden`` cannot be read.
    """

    def __init__(
        self, *, seconds: float = 20, megabytes: int = 2048, hidden: Sequence[Path] = ()
    ) -> None:
        self.seconds, self.megabytes = seconds, megabytes
        self.hidden = [*HIDDEN, *map(str, hidden), *map(str, solution_files())]
        self._process: subprocess.Popen | None = None
        self._replies: queue.Queue[bytes] = queue.Queue()
        self._folder: tempfile.TemporaryDirectory | None = None
        self._mine: list[Any] = []
        self._seeds = np.random.default_rng()
        self._end = 0.0

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def answer(self, source: list[str], expression: str, ask: Callable | None = None) -> Any:
        """Return the answer: a plain value, or a function of the other process.

        ``source`` are statements; ``ask`` is the function of an exercise that calls the answer
        with plain values. The time limit of the answer starts here.
        """
        if not self._replies.empty():  # messages that nobody asked for
            self.close()
        if self._process is None:
            self._start()
        self._end = time.monotonic() + self.seconds
        name = "" if ask is None else f"{ask.__module__}:{ask.__name__}"
        return self.ask("define", source, expression, name)

    def ask(self, what: str, *content: Any) -> Any:
        """Send a request; call functions of this side as the other one asks; return the result."""
        self._send((what, *content))
        while True:
            message = self._receive()
            if "error" in message:
                raise RemoteError(message["error"])
            try:
                if "result" in message:
                    return unpack(message["result"], self._find)
                function = self._mine[message["callback"]]
                arguments, options = unpack(message["with"], self._find)
            except (KeyError, IndexError, TypeError, ValueError, RecursionError) as error:
                raise self.unreadable() from error
            self._call_back(function, arguments, options)

    def _call_back(self, function: Any, arguments: Any, options: Any) -> None:
        try:
            reply = ("result", function(*arguments, **options))
        except (RemoteError, AnswerError):
            raise
        except Exception as error:
            kind, text, _ = name_error(error)
            reply = ("error", f"{kind}: {text}")
        self._send(reply)

    # --- the process ------------------------------------------------------------------------------

    def _start(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="answer-", ignore_cleanup_errors=True)
        settings = {
            "megabytes": self.megabytes,
            "seconds": int(10 * self.seconds) + 5,  # of processor time, for all answers
            "hidden": self.hidden,
        }
        keep = ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH", "LANG")
        environment = {name: os.environ[name] for name in keep if name in os.environ} | {
            "PYTHONPATH": os.pathsep.join([str(PACKAGE.parent), *filter(None, sys.path)]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOME": self._folder.name,
            "MPLCONFIGDIR": self._folder.name,
            "MPLBACKEND": "Agg",
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
        }
        program = "from tinyadtn.teach.inside import main; main()"
        process = subprocess.Popen(
            [sys.executable, "-c", program, json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=self._folder.name,
            env=environment,
            start_new_session=True,
        )
        self._process, self._replies, self._mine = process, queue.Queue(), []
        reader = threading.Thread(target=_read, args=(process.stdout, self._replies), daemon=True)
        reader.start()
        self._end = time.monotonic() + STARTING
        self._receive()  # it has imported everything

    def _send(self, request: Any) -> None:
        if self._process is None or self._process.stdin is None:
            raise AnswerError("Its process has ended.")
        line = json.dumps(pack(request, self._refer)).encode() + b"\n"
        # A process that does not read would block the pipe, and this one with it.
        watch = threading.Timer(max(0.0, self._end - time.monotonic()), _kill, [self._process])
        watch.start()
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
        except OSError:
            raise self._ended() from None
        finally:
            watch.cancel()

    def _receive(self) -> dict[str, Any]:
        try:
            line = self._replies.get(timeout=max(0.0, self._end - time.monotonic()))
        except queue.Empty:
            raise self._ended() from None
        if not line:
            raise self._ended()
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict):
            raise self.unreadable()
        return message

    def unreadable(self) -> AnswerError:
        """End a process that does not keep to the protocol."""
        self.close()
        return AnswerError("Its process sent a message that cannot be read.")

    def _ended(self) -> AnswerError:
        """Say how the process ended; the next answer starts a new one."""
        process, late = self._process, time.monotonic() >= self._end
        if process is not None and not late:
            with suppress(subprocess.TimeoutExpired):
                process.wait(2)  # it is ending by itself: how?
        self.close()
        if late:
            return AnswerError(f"It did not finish within {self.seconds:g} s.")
        code = process.returncode if process else 0
        if code < 0:
            name = signal.Signals(-code).name if -code in set(signal.Signals) else -code
            return AnswerError(f"It ended its process by the signal {name}.")
        return AnswerError(f"It ended its process with the exit code {code}.")

    def close(self) -> None:
        """End the process and remove its folder."""
        if self._process is not None:
            _kill(self._process)
            for pipe in (self._process.stdin, self._process.stdout):
                with suppress(OSError):
                    if pipe is not None:
                        pipe.close()
            self._process = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    # --- references -------------------------------------------------------------------------------

    def _refer(self, value: Any) -> dict[str, int]:
        if isinstance(value, Remote):
            return {"yours": value._number}
        if isinstance(value, np.random.Generator):  # another: nobody can compute which cases follow
            return {"generator": int(self._seeds.integers(2**63))}
        if not callable(value):
            kind = type(value).__name__
            raise TypeError(f"a check passes plain values and functions to an answer, not a {kind}")
        self._mine.append(value)
        return {"object": len(self._mine) - 1}

    def _find(self, form: dict[str, Any]) -> Any:
        if "yours" in form:
            return self._mine[form["yours"]]
        return Remote(self, int(form["object"]), printable(str(form.get("type", "")))[:80])


def _read(pipe: Any, replies: queue.Queue[bytes]) -> None:
    """Put every line of the process into the queue, and b"" at the end."""
    with suppress(OSError, ValueError):  # the pipe was closed
        while line := pipe.readline(LONGEST):
            replies.put(line)
    replies.put(b"")


def _kill(process: subprocess.Popen) -> None:
    """End the process and those that it started."""
    with suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()
