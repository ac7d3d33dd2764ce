"""The commands for teachers and students: ``python -m tinyadtn.teach``.

copy FOLDER                       # notebooks to work in; files that exist stay
edition student|teacher FOLDER    # without solutions, or with them
grade FOLDER                      # a table of all answers in a folder of copies
figures FOLDER                    # every figure of the course as SVG and PDF
"""

from __future__ import annotations

import secrets
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from ..cli import main as command_line
from ..cli.argument_types import positive, rate, whole
from ..cli.outputs import check_new
from ..cli.parser import Parser, adder, flag, option
from ..cli.terminal import say
from ..progress import progress
from ..training.folder import writable_folder
from . import editions, grading
from .figures import write_figures

FOLDER = option("folder", "folder to write to", Path)
KIND = option("kind", "without solutions, or with them", ["student", "teacher"])
NUMBERS = option("notebooks", "numbers (default: all)", str, nargs="*", metavar="NN")
SECONDS, MEGABYTES = grading.Limits.seconds, grading.Limits.megabytes
GRADE = [
    option("folder", "folder with the copies", Path),
    option("--csv", "also write the rows as CSV", Path, metavar="FILE"),
    option("--json", "also write the rows as JSON", Path, metavar="FILE"),
    flag("--overwrite", "replace these files"),
    option("--seconds", "time limit for one answer", rate, SECONDS, metavar="S"),
    option("--megabytes", "memory limit for a copy's answers", positive, MEGABYTES, metavar="MB"),
    option("--jobs", "copies that are graded at the same time", positive, 1, metavar="N"),
    option("--seed", "seed of the cases (default: a random number)", whole),
]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return the exit code."""
    return command_line.main(arguments, parser)


def parser() -> Parser:
    """Return the parser of the command line."""
    parser = Parser(
        prog="python -m tinyadtn.teach", description="The course: copies, editions, grading."
    )
    add = adder(parser.add_subparsers(metavar="COMMAND", required=True))
    copy = add("copy", _edition, [FOLDER], "copy the notebooks into a folder; existing files stay")
    copy.set_defaults(kind="copy")
    add("edition", _edition, [KIND, FOLDER], "write the student's or the teacher's edition")
    add("grade", _grade, GRADE, "grade all notebooks in a folder of copies")
    add("figures", _figures, [FOLDER, NUMBERS], "write the figures of the course as SVG and PDF")
    return parser


def _edition(options: Namespace) -> None:
    new, stayed = editions.write_edition(options.kind, options.folder)
    for path in new:
        say(path)
    if stayed:
        say(f"{len(stayed)} of {len(new) + len(stayed)} files were there already and stay")


def _grade(options: Namespace) -> None:
    for path in filter(None, (options.csv, options.json)):
        writable_folder(check_new(path, options.overwrite).parent)
    limits = grading.Limits(options.seconds, options.megabytes)
    seed = secrets.randbits(32) if options.seed is None else options.seed
    graded = grading.grade(options.folder, limits=limits, jobs=options.jobs, seed=seed)
    rows = list(progress(graded, label="answers", show=not options.quiet))
    say(grading.as_table(rows))
    say(f"\nseed of the cases: {seed}")
    if options.csv is not None:
        options.csv.write_text(grading.as_csv(rows), encoding="utf-8-sig")  # for Excel
    if options.json is not None:
        options.json.write_text(grading.as_json(rows, seed), encoding="utf-8")


def _figures(options: Namespace) -> None:
    for path in write_figures(options.folder, options.notebooks):
        say(path)


if __name__ == "__main__":
    sys.exit(main())
