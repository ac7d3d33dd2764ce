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
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from .exercises import AnswerError, solution_files
from .judging import name_error
from .messages import End, MessageError, RemoteError

PACKAGE = Path(__file__).parents[1]
STARTING = 120  # seconds in which the process must have started
DEFINE = 0  # the number of the function ``inside.define``
HIDDEN = ("/proc", "/sys", "/dev/mem")


class Sandbox(End):
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
        self._folder: tempfile.TemporaryDirectory | None = None
        self._seeds = np.random.default_rng()

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def answer(self, source: list[str], expression: str, ask: Callable | None = None) -> Any:
        """Return the answer: a plain value, or a function of the other process.

        ``source`` are statements; ``ask`` is the function of an exercise that calls the answer
        with plain values. The time limit of the answer starts here.
        """
        if self._process is not None:
            self._end_watch()
            if self._process.poll() is not None or self._has_spoken():
                self.close()
        if self._process is None:
            self._start()
        self._watch(self.seconds)
        name = "" if ask is None else f"{ask.__module__}:{ask.__name__}"
        return self.call(DEFINE, (source, expression, name), {})

    def call(self, number: int, arguments: tuple, options: dict[str, Any]) -> Any:
        if self._process is None:
            raise AnswerError("Its process has ended.")
        try:
            return super().call(number, arguments, options)
        except (OSError, EOFError):
            raise self._ended() from None
        except MessageError as error:
            self.close()
            raise AnswerError("Its process sent a message that cannot be read.") from error

    def reply(self, function: Any, arguments: Any, options: Any) -> dict[str, Any]:
        try:
            return {"result": self.pack(function(*arguments, **options))}
        except AnswerError:  # there is nobody left to reply to
            raise
        except Exception as error:
            kind, text, line = name_error(error)
            # A line of the check is not for the answer.
            return {"error": [kind, text, line if isinstance(error, RemoteError) else ""]}

    def refer(self, value: Any) -> dict[str, Any]:
        if isinstance(value, np.random.Generator):  # another: nobody can compute which cases follow
            return {"generator": int(self._seeds.integers(2**63))}
        if not callable(value):
            kind = type(value).__name__
            raise TypeError(f"a check passes plain values and functions to an answer, not a {kind}")
        return super().refer(value)

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
        self._process = subprocess.Popen(
            [sys.executable, "-c", program, json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=self._folder.name,
            env=environment,
            start_new_session=True,
        )
        self.reader, self.writer, self.kept = self._process.stdout, self._process.stdin, []
        self._watch(STARTING)
        if not self.reader.readline():  # it has imported everything
            raise self._ended()
        self._end_watch()

    def _watch(self, seconds: float) -> None:
        """End the process after so many seconds: then nobody waits for it any more."""

        def end(process: subprocess.Popen) -> None:
            self._is_late = True
            _kill(process)

        self._is_late = False
        self._watcher = threading.Timer(seconds, end, [self._process])
        self._watcher.daemon = True
        self._watcher.start()

    def _end_watch(self) -> None:
        self._watcher.cancel()
        self._watcher.join()

    def _has_spoken(self) -> bool:
        """Return whether the process has sent a message that nobody asked for."""
        if not hasattr(os, "set_blocking"):  # Windows
            return False
        os.set_blocking(self.reader.fileno(), False)
        try:
            return bool(self.reader.peek(1))
        finally:
            os.set_blocking(self.reader.fileno(), True)

    def _ended(self) -> AnswerError:
        """Say how the process ended; the next answer starts a new one."""
        process = self._process
        with suppress(subprocess.TimeoutExpired):
            if process is not None:
                process.wait(2)  # it is ending: how?
        self.close()
        if self._is_late:
            return AnswerError(f"It did not finish within {self.seconds:g} s.")
        code = process.returncode if process else 0
        if code < 0:
            name = signal.Signals(-code).name if -code in set(signal.Signals) else -code
            return AnswerError(f"It ended its process by the signal {name}.")
        return AnswerError(f"It ended its process with the exit code {code}.")

    def close(self) -> None:
        """End the process and remove its folder."""
        if self._process is not None:
            self._watcher.cancel()
            _kill(self._process)
            for pipe in (self.reader, self.writer):
                with suppress(OSError):
                    pipe.close()
            self._process = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None


def _kill(process: subprocess.Popen) -> None:
    """End the process and those that it started."""
    with suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()
