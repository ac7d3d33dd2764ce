"""What the notebooks of the course import: guesses, checks, hints, solutions.

Read ``exercises`` (what an exercise is and how an answer is judged), then ``checks`` (what a cell
calls). ``percent`` reads the sources of the notebooks.
"""

from .checks import check, fast, hint, pick, reveal, solution, states
from .exercises import exercise

__all__ = ["check", "exercise", "fast", "hint", "pick", "reveal", "solution", "states"]
