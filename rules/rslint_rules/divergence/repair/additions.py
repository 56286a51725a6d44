"""What a repair adds at the top of a module: imports, and the helper that makes an error travel."""

from __future__ import annotations

import ast
import itertools
import sys
from collections.abc import Sequence

from rslint.finding import Edit, Place
from rslint_rules.divergence.repair import names
from rslint_rules.divergence.repair.plan import Import, NotCarriedOut
from rslint_rules.divergence.repair.site import rows

ERROR_COPY = "_picklable_error"
_ERROR_COPY_SOURCE = f'''
def {ERROR_COPY}(error):
    """`error` as another rank receives it: of its own type, or of the nearest base type that pickles."""
    for kind in (None, *type(error).__mro__):
        try:
            return pickle.loads(pickle.dumps(error if kind is None else kind(str(error))))
        except Exception:
            continue
    return RuntimeError(type(error).__name__)
'''


def _has_import(module: ast.Module, wanted: Import) -> bool:
    bound_name = wanted.alias or wanted.name or wanted.module
    for node in module.body:
        if wanted.name is None and isinstance(node, ast.Import):
            found = [(each.name, each.asname or each.name) for each in node.names]
            if (wanted.module, bound_name) in found:
                return True
        elif isinstance(node, ast.ImportFrom) and (node.module, node.level) == (wanted.module, 0):
            found = [(each.name, each.asname or each.name) for each in node.names]
            if (wanted.name, bound_name) in found:
                return True
    return False


def import_edits(filename: str, text: str, module: ast.Module, wanted: Sequence[Import]) -> list[Edit]:
    """Edits that add the missing imports: the standard library's in order, others placed by libcst."""
    missing = [item for item in wanted if not _has_import(module, item)]
    # What a class binds in its body is no name of the module.
    taken = {
        *names.bound([node for node in module.body if not isinstance(node, ast.ClassDef)]),
        *(node.name for node in module.body if isinstance(node, ast.ClassDef)),
    }
    if any((item.alias or item.name or item.module) in taken for item in missing):
        raise NotCarriedOut("a name to import means something else in the module")
    standard = [item for item in missing if item.name is None and item.module in sys.stdlib_module_names]
    edits = [_standard_import(filename, text, module, item) for item in standard]
    others = [item for item in missing if item not in standard]
    if not others:
        return edits
    changed = _with_imports(text, others)
    old, new = rows(text), rows(changed)
    pairs = enumerate(zip(old, new, strict=False))
    head = next((n for n, (a, b) in pairs if a != b), min(len(old), len(new)))
    added = len(new) - len(old)
    if added <= 0 or old[head:] != new[head + added :]:
        raise NotCarriedOut("the import could not be added by an insertion")
    place = Place(filename, head + 1, 1, head + 1, 1)
    return [*edits, Edit(place, "".join(new[head : head + added]))]


def _with_imports(text: str, wanted: Sequence[Import]) -> str:
    """The text with these imports where libcst places them."""
    import libcst
    from libcst.codemod import CodemodContext  # as long to load as the rest of rslint
    from libcst.codemod.visitors import AddImportsVisitor, ImportItem

    items = [ImportItem(item.module, item.name, item.alias) for item in wanted]
    changed: str = AddImportsVisitor(CodemodContext(), items).transform_module(libcst.parse_module(text)).code
    return changed


def _standard_import(filename: str, text: str, module: ast.Module, wanted: Import) -> Edit:
    """`import module` in its alphabetical place among the standard imports, or above all imports."""
    newline = "\r\n" if "\r\n" in text else "\n"
    leading = list(itertools.takewhile(lambda node: not hasattr(node, "body"), module.body))
    imports = [node for node in leading if isinstance(node, ast.Import | ast.ImportFrom)]
    imports = [
        node for node in imports if not (isinstance(node, ast.ImportFrom) and node.module == "__future__")
    ]
    if not imports:
        raise NotCarriedOut("the module has no imports to put another beside")
    standard = [
        node
        for node in imports
        if isinstance(node, ast.Import) and node.names[0].name.split(".")[0] in sys.stdlib_module_names
    ]
    before = [node for node in standard if node.names[0].name < wanted.module]
    row = (before[-1].end_lineno or before[-1].lineno) + 1 if before else (standard or imports)[0].lineno
    gap = "" if standard or _is_standard(imports[0]) else newline
    return Edit(Place(filename, row, 1, row, 1), f"import {wanted.module}{newline}{gap}")


def _is_standard(node: ast.Import | ast.ImportFrom) -> bool:
    name = node.names[0].name if isinstance(node, ast.Import) else node.module or ""
    return (
        not (isinstance(node, ast.ImportFrom) and node.level)
        and name.split(".")[0] in sys.stdlib_module_names
    )


def _is_import(node: ast.stmt) -> bool:
    inner = [*getattr(node, "body", []), *getattr(node, "orelse", [])]
    for handler in getattr(node, "handlers", []):
        inner += handler.body
    return isinstance(node, ast.Import | ast.ImportFrom) or (
        isinstance(node, ast.If | ast.Try)
        and any(isinstance(each, ast.Import | ast.ImportFrom) for each in inner)
    )


def helper_edits(filename: str, text: str, module: ast.Module) -> list[Edit]:
    """The insertion of the module-level helper behind the leading imports, unless it is there."""
    present = [node for node in module.body if ERROR_COPY in names.bound([node])]
    if present:
        if ast.dump(present[-1]) != ast.dump(ast.parse(_ERROR_COPY_SOURCE).body[0]):
            raise NotCarriedOut(f"the module has a {ERROR_COPY} of its own")
        return []
    head = 0
    for index, node in enumerate(module.body):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            break
        if _is_import(node) or (index == 0 and isinstance(node, ast.Expr)):
            head = node.end_lineno or node.lineno
    text_rows = rows(text)
    newline = "\r\n" if "\r\n" in text else "\n"
    if head == 0 or head >= len(text_rows):
        raise NotCarriedOut("the module has no imports to put the helper behind")
    body = _ERROR_COPY_SOURCE.strip("\n").replace("\n", newline)
    content = f"{newline}{newline}{body}{newline}"
    if text_rows[head].strip():
        content += newline * 2
    else:
        content += newline if head + 1 < len(text_rows) and text_rows[head + 1].strip() else ""
    place = Place(filename, head + 1, 1, head + 1, 1)
    return [Edit(place, content)]
