"""Functions that the notebooks of the course import: guesses, checks, hints, solutions.

Read in this order:

- ``exercises``: how an exercise is defined and found.
- ``judging``: how an answer is judged.
- ``checks``: the functions that a cell of a notebook calls.
- ``grading``: the answers of a class. Each runs in another process: ``sandbox`` is this side of it,
  ``inside`` the other, ``messages`` what they send. ``slices`` finds what an answer needs.
- ``editions``: notebooks to work in, and for students and teachers. ``figures``: for slides.
  ``address``: links to Colab and Binder.

``percent`` (notebook sources as Python files) and ``__main__`` (the command line) may be skipped.
"""

from .checks import check, fast, hint, pick, reveal, solution, states, status
from .exercises import exercise

__all__ = ["check", "exercise", "fast", "hint", "pick", "reveal", "solution", "states", "status"]
