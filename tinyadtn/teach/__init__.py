"""Functions that the notebooks of the course import: guesses, checks, hints, solutions.

Read in this order:

- ``exercises``: how an exercise is defined and found.
- ``judging``: how an answer is judged.
- ``checks``: the functions that a cell of a notebook calls.

``percent`` (notebook sources as Python files) may be skipped at first.
"""

from .checks import check, fast, hint, pick, reveal, solution, states, status
from .exercises import exercise

__all__ = ["check", "exercise", "fast", "hint", "pick", "reveal", "solution", "states", "status"]
