"""The commands for teachers and students: ``python -m tinyadtn.teach``.

copy FOLDER                       # notebooks to work in; files that exist stay
edition student|teacher FOLDER    # without solutions, or with them
grade FOLDER                      # a table of all answers in a folder of copies
figures FOLDER                    # every figure of the course as SVG and PDF
"""

from __future__ import annotations

import argparse
import io
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

from ..errors import DataFileError
from . import editions, grading


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return the exit code."""
    given = parser().parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a file in cp1252, as on Windows, has no "⟨"
    try:
        given.run(given)
    except (DataFileError, OSError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tinyadtn.teach", description="The course: copies, editions, grading."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run, summary: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=summary, description=summary)
        made.set_defaults(run=run)
        return made

    copy = command("copy", _copy, "copy the notebooks into a folder; existing files stay")
    copy.add_argument("folder", type=Path)

    edition = command("edition", _edition, "write the student's or the teacher's edition")
    edition.add_argument("kind", choices=("student", "teacher"))
    edition.add_argument("folder", type=Path)

    grade = command("grade", _grade, "grade all notebooks in a folder of copies")
    grade.add_argument("folder", type=Path)
    grade.add_argument("--csv", type=Path, metavar="FILE", help="also write the rows as CSV")
    grade.add_argument("--json", type=Path, metavar="FILE", help="also write the rows as JSON")
    grade.add_argument("--overwrite", action="store_true", help="replace these files")
    limits = grading.Limits()
    # fmt: off
    grade.add_argument("--seconds", type=float, default=limits.seconds, metavar="S",
                       help="time limit for one answer (default %(default)g)")
    grade.add_argument("--megabytes", type=int, default=limits.megabytes, metavar="MB",
                       help="memory limit for the answers of a copy (default %(default)d)")
    grade.add_argument("--jobs", type=int, default=1, metavar="N",
                       help="copies that are graded at the same time (default 1)")
    # fmt: on
    grade.add_argument("--seed", type=int, help="seed of the cases (default: a random number)")

    figures = command("figures", _figures, "write the figures of the course as SVG and PDF")
    figures.add_argument("folder", type=Path)
    figures.add_argument("notebooks", nargs="*", metavar="NN", help="numbers; default: all")
    return parser


def _copy(given: argparse.Namespace) -> None:
    _report(*editions.write_copy(given.folder))


def _edition(given: argparse.Namespace) -> None:
    _report(*editions.write_edition(given.kind, given.folder))


def _report(new: list[Path], stayed: list[Path]) -> None:
    for path in new:
        print(path)
    if stayed:
        print(f"{len(stayed)} of {len(new) + len(stayed)} files were there already and stay")


def _grade(given: argparse.Namespace) -> None:
    for path in (given.csv, given.json):
        if path is not None and path.exists() and not given.overwrite:
            raise DataFileError(f"{path} exists: give another name, or --overwrite")
    limits = grading.Limits(given.seconds, given.megabytes)
    seed = secrets.randbits(32) if given.seed is None else given.seed
    rows = []
    for row in grading.grade(given.folder, limits=limits, jobs=given.jobs, seed=seed):
        rows.append(row)
        if sys.stderr.isatty():
            print(f"\r{len(rows)} answers", end="", file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    print(grading.as_table(rows))
    print(f"\nseed of the cases: {seed}")
    if given.csv is not None:
        given.csv.write_text(grading.as_csv(rows), encoding="utf-8-sig")  # for Excel
    if given.json is not None:
        given.json.write_text(grading.as_json(rows, seed), encoding="utf-8")


def _figures(given: argparse.Namespace) -> None:
    from .figures import write_figures

    for path in write_figures(given.folder, given.notebooks):
        print(path)


if __name__ == "__main__":
    sys.exit(main())
