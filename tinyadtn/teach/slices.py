"""What an answer needs of its notebook: the statements that define it, and no others.

A notebook trains networks and draws pictures; the answer to an exercise is mostly one function. So
a grader runs only the imports, functions and values that the answer uses, found by their names.
Lines of IPython (`%magic`, `!command`, `help?`) are left out.
"""

from __future__ import annotations

import ast
import json
import re
import symtable
from dataclasses import dataclass
from pathlib import Path

from ..errors import DataFileError

PYTHON_MAGICS = ("%%time", "%%timeit", "%%capture", "%%prun")


@dataclass(frozen=True)
class Answer:
    """An answer in a notebook: the name of its exercise, an expression, and what defines it."""

    exercise: str
    expression: str
    needed: tuple[str, ...]  # the statements that the expression uses
    before: tuple[str, ...]  # all statements before the check


def answers(path: Path) -> dict[str, Answer]:
    """Return the answers of a notebook, by exercise: what each `teach.check("name", …)` is given.

    Raises DataFileError if the file is not a notebook. Cells that are not Python are left out.
    """
    sources = code_cells(path)
    statements = [node for source in sources for node in parsed(source)]
    faults = tuple(fault for source in sources if (fault := syntax_error(source)))
    found = {}
    for place, statement in enumerate(statements):
        for call in ast.walk(statement):
            if isinstance(call, ast.Call) and _is_check(call):
                name, expression = ast.literal_eval(call.args[0]), ast.unparse(call.args[1])
                needed = needed_by(expression, statements[:place]) or faults[:1]
                before = tuple(ast.unparse(node) for node in statements[:place])
                found[name] = Answer(name, expression, needed, before)
    return found


def _is_check(call: ast.Call) -> bool:
    name = ast.unparse(call.func).rpartition(".")[2]
    first = call.args[0] if len(call.args) > 1 else None
    return name == "check" and isinstance(first, ast.Constant) and isinstance(first.value, str)


def code_cells(path: Path) -> list[str]:
    """Return the sources of the code cells of an .ipynb file."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        sources = [cell["source"] for cell in cells if cell["cell_type"] == "code"]
        return [text if isinstance(text, str) else "".join(text) for text in sources]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataFileError(f"{path.name} is not a notebook: {error!r}") from error


def parsed(source: str) -> list[ast.stmt]:
    """Return the statements of a cell, without the lines of IPython; [] if it is not Python.

    >>> [ast.unparse(node) for node in parsed("%matplotlib inline\\nx = 1\\n!ls")]
    ['x = 1']
    """
    for text in (source, without_magics(source)):
        try:
            compile(text, "cell", "exec", dont_inherit=True)
            return ast.parse(text).body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    return []


def syntax_error(source: str) -> str:
    """Return a statement that raises the syntax error of a cell, "" if it has none."""
    try:
        compile(without_magics(source), "cell", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return f"raise SyntaxError({str(error)!r})"
    return ""


def without_magics(source: str) -> str:
    """Return the cell with every line that only IPython understands replaced or removed."""
    if source.startswith("%%"):
        first, _, source = source.partition("\n")
        if not first.startswith(PYTHON_MAGICS):
            return ""
    source = re.sub(r"(?m)^(\s*)[%!?].*$", r"\1", source)
    source = re.sub(r"(?m)^(\s*)[\w.]+\?+\s*$", r"\1", source)
    return re.sub(r"(?m)^(\s*[\w, ]+= *)[%!].*$", r"\1None", source)


def needed_by(expression: str, statements: list[ast.stmt]) -> tuple[str, ...]:
    """Return the statements that the expression needs, in their order.

    >>> body = parsed("import math\\na = 1\\nb = 2\\ndef f(x):\\n    return math.sqrt(x) + a")
    >>> needed_by("f", body)
    ('import math', 'a = 1', 'def f(x):\\n    return math.sqrt(x) + a')
    """
    pieces = [Piece(part) for statement in statements for part in _import_by_import(statement)]
    modules = {name for piece in pieces if piece.is_import for name in piece.bound}
    for piece in pieces:
        piece.bound |= piece.called - modules
    names = Piece(ast.parse(expression).body[0]).used
    kept: set[int] = set()
    while True:
        new = {k for k, piece in enumerate(pieces) if k not in kept and piece.bound & names}
        if not new:
            return tuple(pieces[k].source for k in sorted(kept))
        kept |= new
        for k in new:
            names = names | pieces[k].used


def _import_by_import(statement: ast.stmt) -> list[ast.stmt]:
    """Return one statement for each name of an import, so that only what is needed is imported."""
    if isinstance(statement, ast.ImportFrom) and statement.names[0].name != "*":
        return [ast.ImportFrom(statement.module, [a], statement.level) for a in statement.names]
    if isinstance(statement, ast.Import):
        return [ast.Import([alias]) for alias in statement.names]
    return [statement]


class Piece:
    """A statement with the global names that it uses, and those that it binds or changes."""

    def __init__(self, statement: ast.stmt) -> None:
        self.source = ast.unparse(statement)
        self.is_import = isinstance(statement, (ast.Import, ast.ImportFrom))
        self.used: set[str] = set()
        self.bound: set[str] = set()
        self.called: set[str] = set()  # a, for a.append(…): the call may change it
        self._read(symtable.symtable(self.source, "cell", "exec"), at_top=True)
        for node in ast.walk(statement):
            if isinstance(node, (ast.Attribute, ast.Subscript)) and isinstance(
                node.ctx, (ast.Store, ast.Del)
            ):
                self.bound |= _base(node)  # a.x = …, a[0] = …
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            self.called = _base(statement.value.func)

    def _read(self, table: symtable.SymbolTable, at_top: bool) -> None:
        for symbol in table.get_symbols():
            if symbol.is_referenced() and (at_top or symbol.is_global()):
                self.used.add(symbol.get_name())
            if (at_top or symbol.is_declared_global()) and (
                symbol.is_assigned() or symbol.is_imported()
            ):
                self.bound.add(symbol.get_name())
        for child in table.get_children():
            self._read(child, at_top=False)


def _base(node: ast.AST) -> set[str]:
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
        if isinstance(node, ast.Name):
            return {node.id}
    return set()
