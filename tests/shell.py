"""Commands that were printed for users to copy, read as a shell reads them."""

import os
import shlex
import shutil
import subprocess

import pytest


def words_of(line: str) -> list[str]:
    """The words of a line; bash also reads the quotes of bytes that cannot be printed."""
    if not shutil.which("bash"):
        return pytest.skip("no bash to read it") if "$'" in line else shlex.split(line)
    command = ["bash", "-c", f"printf '%s\\0' {line}"]
    printed = subprocess.run(command, capture_output=True, check=True).stdout
    return os.fsdecode(printed).split("\0")[:-1]
