"""The repair of RS302: an attach of which no resource tracker hears.

Where every Python of the project is 3.13 or newer, it is `track=False`. For older ones there is no such argument: then
the runtime's `attach` takes the place of `SharedMemory`, where the project asks for the runtime style. What it returns
has `name`, `size`, `buf`, `close` and `unlink` and is no `SharedMemory`: so it is unsafe, and not offered in modules
that look at its type or behind its back.
"""

from __future__ import annotations

import ast

from rslint.finding import Applicability, Edit, Finding, Fix, Place
from rslint.project.config import oldest_python, runtime_of
from rslint.rule import FixRequest
from rslint_rules.divergence.repair.additions import import_edits
from rslint_rules.divergence.repair.plan import Import, NotCarriedOut
from rslint_rules.divergence.repair.site import rows
from rslint_rules.trees import parsed

UNTRACKED_SINCE = (3, 13)
_ATTACH, _CLASS, _MODULE = "attach", "SharedMemory", "multiprocessing.shared_memory"
_BEHIND = frozenset({"_fd", "_mmap", "_buf", "_name", "_size", "_flags"})


def untracked(request: FixRequest) -> Fix | None:
    """The repair in the style that the project asks for, `track=False` where that is safe."""
    config = request.analysis.project.config
    oldest = oldest_python(config)
    known = oldest is not None and oldest >= UNTRACKED_SINCE
    runtime = runtime_of(config)
    if runtime is not None and not known:
        fix = attached(request.source.text, request.finding, runtime)
        if fix is not None:
            return fix
    return _without_tracking(request, known)


def attached(text: str, finding: Finding, runtime: str) -> Fix | None:
    """`attach` of the runtime in place of the finding's call; None where it is not clear that it does as well."""
    tree = parsed(text)
    if tree is None or _is_particular(tree) or _is_taken(tree, runtime):
        return None
    call = _call_at(tree, text, finding.place)
    if call is None or not _is_the_class(tree, call.func):
        return None
    name = _name_alone(call)
    if name is None or name.lineno != name.end_lineno:
        return None
    written = ast.get_source_segment(text, name)
    if written is None or _holds_a_comment(text, call):
        return None
    filename = finding.place.filename
    try:
        imports = import_edits(filename, text, tree, [Import(runtime, _ATTACH)])
    except NotCarriedOut:
        return None
    return Fix(
        Applicability.UNSAFE,
        f"attach by `{runtime}.{_ATTACH}`, of which no resource tracker hears",
        (*imports, Edit(finding.place, f"{_ATTACH}({written})")),
    )


def _is_particular(tree: ast.Module) -> bool:
    """Whether the module asks for the type of a segment, derives from it, or uses what is private to it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in _BEHIND:
            return True
        asked: list[ast.expr] = []
        if isinstance(node, ast.ClassDef):
            asked = node.bases
        elif isinstance(node, ast.Compare):
            asked = [node.left, *node.comparators]
        elif isinstance(node, ast.Call) and _last(node.func) in ("isinstance", "issubclass"):
            asked = node.args[1:]
        if any(_last(part) == _CLASS for one in asked for part in ast.walk(one)):
            return True
    return False


def _is_taken(tree: ast.Module, runtime: str) -> bool:
    """Whether `attach` means something else somewhere in the module, methods and attributes of that name aside."""
    methods = {id(inner) for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for inner in node.body}
    return any(_ATTACH in _bound_by(node, runtime) for node in ast.walk(tree) if id(node) not in methods)


def _bound_by(node: ast.AST, runtime: str) -> tuple[str, ...]:
    """The names that a node gives a meaning, the runtime's own left out; "*" of another module may be any."""
    if isinstance(node, ast.Name):
        return () if isinstance(node.ctx, ast.Load) else (node.id,)
    if isinstance(node, ast.arg):
        return (node.arg,)
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return (node.name,)
    if isinstance(node, ast.Import | ast.ImportFrom):
        ours = isinstance(node, ast.ImportFrom) and node.module == runtime
        names = [alias.asname or alias.name for alias in node.names if not (ours and alias.name == _ATTACH)]
        return tuple(_ATTACH if name == "*" else name for name in names)
    return ()


def _call_at(tree: ast.Module, text: str, place: Place) -> ast.Call | None:
    """The call that stands exactly at a place."""
    text_rows = rows(text)

    def column(row: int, offset: int) -> int:
        return len(text_rows[row - 1].encode()[:offset].decode(errors="replace")) + 1

    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (node.lineno, node.end_lineno) == (place.row, place.end_row):
            start = column(node.lineno, node.col_offset)
            end = column(place.end_row, node.end_col_offset or 0)
            if (start, end) == (place.column, place.end_column):
                return node
    return None


def _is_the_class(tree: ast.Module, function: ast.expr) -> bool:
    """Whether a call's function is `SharedMemory` of the standard library, by the imports at the module's top."""
    return ast.unparse(function) in {spelled for node in tree.body for spelled in _spellings(node)}


def _spellings(statement: ast.stmt) -> list[str]:
    """How `SharedMemory` is spelled behind an import."""
    if isinstance(statement, ast.Import):
        return [f"{a.asname or a.name}.{_CLASS}" for a in statement.names if a.name == _MODULE]
    if not isinstance(statement, ast.ImportFrom) or statement.level:
        return []
    found = []
    for alias in statement.names:
        if (statement.module, alias.name) == (_MODULE, _CLASS):
            found.append(alias.asname or alias.name)
        elif f"{statement.module}.{alias.name}" == _MODULE:
            found.append(f"{alias.asname or alias.name}.{_CLASS}")
    return found


def _holds_a_comment(text: str, call: ast.Call) -> bool:
    """Whether a call of several rows may have a comment in it, which would be lost."""
    return call.lineno != call.end_lineno and "#" in (ast.get_source_segment(text, call) or "")


def _name_alone(call: ast.Call) -> ast.expr | None:
    """The name that a call gives, where beside it stands nothing but what an attach does not look at."""
    given: dict[str, ast.expr] = dict(zip(("name", "create", "size"), call.args, strict=False))
    for keyword in call.keywords:
        if keyword.arg is None:
            return None
        given[keyword.arg] = keyword.value
    if len(call.args) > 3 or any(isinstance(argument, ast.Starred) for argument in call.args):
        return None
    for name, value in given.items():
        if name != "name" and not (name in ("create", "size") and isinstance(value, ast.Constant)):
            return None
    return given.get("name")


def _last(node: ast.AST) -> str | None:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else None


def _without_tracking(request: FixRequest, known: bool) -> Fix | None:
    """`track=False` behind the last argument."""
    place, text_rows = request.finding.place, request.source.rows
    if place.end_row > len(text_rows):
        return None
    before = text_rows[place.end_row - 1][: place.end_column - 2].rstrip()
    if text_rows[place.end_row - 1][place.end_column - 2 : place.end_column - 1] != ")" or not before:
        return None
    end = Place(place.filename, place.end_row, len(before) + 1, place.end_row, len(before) + 1)
    content = " track=False" if before.endswith(",") else ", track=False"
    message = "attach without the resource tracker"
    if not known:
        message += ': for Python 3.13 and newer (set target-version, or fix-style = "runtime")'
    return Fix(Applicability.SAFE if known else Applicability.DISPLAY, message, (Edit(end, content),))
