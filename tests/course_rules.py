"""What the notebooks may use of the library, and readers of their sources for the tests."""

import ast
import re
from pathlib import Path

from tinyadtn.teach.percent import Cell, read_cells

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
SOURCES = sorted((NOTEBOOKS / "src").glob("[0-9][0-9]_*.py"))

# Pictures, data and the page are given; everything else is earned.
GIVEN = {"draw", "load_data", "tiny"}

# Notebook -> what it earns: a public name of `ta`, and what the notebook has written by hand before
# it uses that name: a function or a class (or a method, "Value.backward"). Then it is free.
EARNED: dict[str, dict[str, str]] = {
    "01": {
        "Tensor": "Value",
        "exp": "my_exp",
        "log": "my_log",
        "relu": "my_relu",
        "tanh": "tanh",
        "op": "my_op",
    },
    "02": {"check_vjp": "my_numerical_vjp"},
    "03": {
        "add": "my_add",
        "multiply": "my_multiply",
        "matmul": "my_matmul",
        "sum": "my_total",
        "getitem": "my_getitem",
        "log_softmax": "my_log_softmax",
        "softmax_cross_entropy": "cross_entropy_vjp",
        "contract": "einsum_vjp",
    },
    "04": {
        "SGD": "my_sgd",
        "Adam": "MyAdam",
        "train": "my_train",
        "evaluate": "my_accuracy",
        "models": "my_network",
    },
    "05": {"conv2d": "my_conv", "max_pool2d": "my_max_pool"},
    "06": {"LowRank": "my_low_rank", "TensorTrain": "my_tensor_train"},
    "07": {"ADTN": "my_wall"},
    "09": {"compress": "my_compress", "report": "my_report", "Frozen": "my_frozen"},
    "10": {"independent_numbers": "my_independent_numbers"},
}


def cells_of(source: Path) -> list[Cell]:
    return read_cells(source)


def library_names(code: str) -> set[str]:
    """x of every `ta.x`, and what else is imported from the package, but for `teach`."""
    names = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            names |= {node.attr} if node.value.id == "ta" else set()
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tinyadtn"):
            if node.module.startswith("tinyadtn.course"):  # pictures and parts of exercises
                continue
            names |= {alias.name for alias in node.names} - {"teach"}
        elif isinstance(node, ast.Import):
            names |= {a.name for a in node.names if a.name.startswith("tinyadtn.")}
    return names


def defined_names(code: str) -> set[str]:
    """Names that this code defines, and methods as "Class.method"."""
    names = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{f.name}" for f in node.body if isinstance(f, ast.FunctionDef)}
    return names


def patched_names(code: str) -> set[str]:
    """Whatever of the library this code assigns to: `ta.x = …`, `ta.Tensor.x = …`, setattr(ta…)."""
    found = set()
    for node in ast.walk(ast.parse(code)):
        targets = getattr(node, "targets", [getattr(node, "target", None)])
        for target in targets if isinstance(node, (ast.Assign, ast.AugAssign)) else []:
            if isinstance(target, ast.Attribute) and ast.unparse(target).startswith("ta."):
                found.add(ast.unparse(target))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("setattr", "patch"):
            found |= {ast.unparse(a) for a in node.args if ast.unparse(a).split(".")[0] == "ta"}
    return found


def unearned(source: Path) -> list[str]:
    """What the notebook uses of the library though nothing before has earned it."""
    number = source.stem[:2]
    free = GIVEN | {name for n, row in EARNED.items() if n < number for name in row}
    row, written, found = EARNED.get(number, {}), set(), []
    for cell in cells_of(source):
        if cell.kind == "text":
            continue
        written |= defined_names(cell.source)
        for name in library_names(cell.source) - free:
            if name not in row:
                found.append(f"ta.{name} is in no row of EARNED up to {number}")
            elif row[name] not in written:
                found.append(f"ta.{name} is used before {row[name]} is written")
    return found


def study_minutes(source: Path) -> str:
    """The study time that the first cell gives: "60", or "60 to 90"."""
    found = re.search(r"\*\*Study time\*\* (\d+(?: to \d+)?) minutes", cells_of(source)[0].source)
    return found[1] if found else ""


# --- guesses -------------------------------------------------------------------------------------


def badly_placed_guesses(cells: list[Cell]) -> list[str]:
    """Guesses that share a cell with other code, or are not compared in a later cell."""
    code = [cell.source for cell in cells if cell.kind == "code"]
    found = []
    for place, source in enumerate(code):
        body = ast.parse(source).body
        names = re.findall(r"(?m)^(my_guess\w*) = ", source)
        if names and not all(isinstance(node, ast.Assign) for node in body):
            found.append(f"{', '.join(names)}: in a cell of its own, without other code")
        for name in names:
            uses = [k for k, other in enumerate(code) if k != place and name in other]
            if place == len(code) - 1 or min(uses, default=place) < place:
                found.append(f"{name}: shown in a later cell, not in an earlier one")
    return found


# --- the text ------------------------------------------------------------------------------------

NUMBER = re.compile(r"(?<![\w.])[−-]?\d[\d,]*(?:\.\d+)?(?:e[−-]?\d+)?(?![\w]*\d)")


def prose(cells: list[Cell]) -> str:
    """The text cells, without code, formulas, links and the numbers of headings."""
    text = "\n\n".join(cell.source for cell in cells if cell.kind == "text")
    for pattern in (
        r"```.*?```",
        r"`[^`]*`",
        r"\$\$.*?\$\$",
        r"\$[^$]*\$",
        r"\]\([^)]*\)",
        r"arXiv[: ]*\d{4}\.\d{4,5}",
        r"\((?:[^()]*, )?\d{4}\)",  # a year
        r"\*\*Study time\*\* \d+ minutes",
    ):
        text = re.sub(pattern, " ", text, flags=re.DOTALL)
    return re.sub(r"(?m)^#+ \d+[ab]?\.? ", "", text)


def stated_numbers(cells: list[Cell]) -> list[str]:
    """The first argument of every teach.states("…", …)."""
    found = []
    for cell in cells:
        if cell.kind in ("code", "compare"):
            for node in ast.walk(ast.parse(cell.source)):
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "teach.states":
                    found.append(ast.literal_eval(node.args[0]))
    return found


def code_numbers(cells: list[Cell]) -> set[float]:
    """Every number that is written in the code."""
    trees = [ast.parse(cell.source) for cell in cells if cell.kind == "code"]
    constants = [n.value for t in trees for n in ast.walk(t) if isinstance(n, ast.Constant)]
    return {float(c) for c in constants if isinstance(c, (int, float))}


def loose_numbers(cells: list[Cell]) -> list[str]:
    """Numbers in the text that no cell states and no code holds."""
    text, stated, known = prose(cells), stated_numbers(cells), code_numbers(cells)
    for number in sorted(stated, key=len, reverse=True):
        text = re.sub(rf"(?<![\d.,]){re.escape(number)}(?![\d])", " ", text)
    loose = []
    for match in NUMBER.findall(text):
        value = float(match.rstrip(",").replace(",", "").replace("−", "-"))
        if abs(value) not in known and not (value == int(value) and abs(value) <= 12):
            loose.append(match)
    return loose
