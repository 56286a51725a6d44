"""Carry out a plan on concrete syntax and say the result as the smallest edits by rows.

Only the rows of one function are parsed (libcst costs 50 to 100 times what `ast` does), plus the whole module
where an import has to be added.
"""

from __future__ import annotations

import ast
import difflib
import itertools
import sys
import textwrap
from collections.abc import Mapping, Sequence

import libcst as cst
from libcst.codemod import CodemodContext
from libcst.codemod.visitors import AddImportsVisitor, ImportItem
from libcst.metadata import MetadataWrapper, PositionProvider

from rslint.finding import Edit, Place
from rslint_rules.divergence.repair.plan import Import, Plan, Position, Wrap
from rslint_rules.divergence.repair.site import parsed, rows

ERROR_COPY = "_picklable_error"
_ERROR_COPY_SOURCE = f'''
def {ERROR_COPY}(error):
    """`error` as another rank receives it: of its own type, or of the nearest base type that pickles."""
    for kind in type(error).__mro__:
        try:
            return pickle.loads(pickle.dumps(error if kind is type(error) else kind(str(error))))
        except Exception:
            continue
    return RuntimeError(type(error).__name__)
'''


class NotCarriedOut(Exception):
    """The concrete syntax does not have what the plan speaks of."""


def _statements(text: str, module: cst.Module) -> list[cst.SimpleStatementLine | cst.BaseCompoundStatement]:
    """Parse statements written with LF and four spaces in the manner of `module`."""
    lines = textwrap.dedent(text).strip("\n").split("\n")
    levels = [(len(line) - len(line.lstrip(" "))) // 4 for line in lines]
    own = [
        module.default_indent * level + line.lstrip(" ") for level, line in zip(levels, lines, strict=True)
    ]
    source = module.default_newline.join([*own, ""])
    return list(cst.parse_module(source, config=module.config_for_parsing).body)


def _with_leading(statement: cst.BaseStatement, lines: Sequence[cst.EmptyLine]) -> cst.BaseStatement:
    return statement.with_changes(leading_lines=tuple(lines))


def _leading(statement: cst.BaseStatement) -> tuple[cst.EmptyLine, ...]:
    return tuple(getattr(statement, "leading_lines", ()))


class _Rewriter(cst.CSTTransformer):
    """Carries out the steps of one plan; `done` counts them."""

    METADATA_DEPENDENCIES = (PositionProvider,)

    def __init__(self, module: cst.Module, plan: Plan, shift: int) -> None:
        super().__init__()
        self.module, self.plan, self.shift, self.done = module, plan, shift, 0
        self.wraps: Mapping[Position, Wrap] = {wrap.first: wrap for wrap in plan.wraps}

    def position(self, node: cst.CSTNode) -> Position:
        start = self.get_metadata(PositionProvider, node).start
        return start.line + self.shift, start.column

    def inserted(self, at: Position, after: bool) -> list[cst.BaseStatement]:
        found: list[cst.BaseStatement] = []
        for insert in self.plan.inserts:
            if insert.at == at and insert.after == after:
                self.done += 1
                found += _statements(insert.text, self.module)
        return found

    def wrapped(self, wrap: Wrap, body: Sequence[cst.BaseStatement]) -> cst.BaseStatement:
        self.done += 1
        text = f"{wrap.header}\n    pass\n{textwrap.dedent(wrap.trailer).strip()}"
        statement = _statements(text, self.module)[0]
        return statement.with_changes(body=cst.IndentedBlock(body=list(body)))

    def rebuilt(
        self, original: Sequence[cst.BaseStatement], updated: Sequence[cst.BaseStatement]
    ) -> list[cst.BaseStatement]:
        """The statements of one block with this plan's wraps and insertions."""
        result: list[cst.BaseStatement] = []
        group: list[cst.BaseStatement] = []
        wrap: Wrap | None = None
        leading: tuple[cst.EmptyLine, ...] = ()
        before: list[cst.BaseStatement] = []
        for old, new in zip(original, updated, strict=True):
            at = self.position(old)
            if wrap is None:
                before, leading = self.inserted(at, after=False), _leading(new)
                wrap = self.wraps.get(at)
                if before or wrap:
                    new = _with_leading(new, ())
            group.append(new)
            if wrap is not None and at != wrap.last:
                continue
            emitted = [*before, self.wrapped(wrap, group)] if wrap else [*before, *group]
            if before or wrap:
                emitted[0] = _with_leading(emitted[0], leading)
            result += [*emitted, *self.inserted(at, after=True)]
            group, wrap = [], None
        if wrap is not None:
            raise NotCarriedOut("the statements to wrap are not siblings")
        return result

    def leave_IndentedBlock(
        self, original_node: cst.IndentedBlock, updated_node: cst.IndentedBlock
    ) -> cst.IndentedBlock:
        done = self.done
        body = self.rebuilt(original_node.body, updated_node.body)
        return updated_node if self.done == done else updated_node.with_changes(body=body)

    def leave_SimpleStatementSuite(
        self, original_node: cst.SimpleStatementSuite, updated_node: cst.SimpleStatementSuite
    ) -> cst.BaseSuite:
        """`if leader: x = f()` becomes a block when something is done to its statement."""
        if len(original_node.body) != 1:
            return updated_node
        at = self.position(original_node.body[0])
        touched = at in self.wraps or any(insert.at == at for insert in self.plan.inserts)
        if not touched:
            return updated_node
        line = cst.SimpleStatementLine(
            body=updated_node.body, trailing_whitespace=updated_node.trailing_whitespace
        )
        before, after = self.inserted(at, after=False), self.inserted(at, after=True)
        wrap = self.wraps.get(at)
        if wrap is not None and wrap.last != at:
            raise NotCarriedOut("the statements to wrap are not siblings")
        middle = self.wrapped(wrap, [line]) if wrap else line
        return cst.IndentedBlock(body=[*before, middle, *after])

    def leave_List(self, original_node: cst.List, updated_node: cst.List) -> cst.List:
        added = [step for step in self.plan.appends if step.at == self.position(original_node)]
        if not added:
            return updated_node
        self.done += len(added)
        elements = list(updated_node.elements)
        comma = cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))
        if elements and isinstance(elements[-1].comma, cst.MaybeSentinel):
            elements[-1] = elements[-1].with_changes(comma=comma)
        elements += [cst.Element(cst.parse_expression(step.element)) for step in added]
        return updated_node.with_changes(elements=elements)

    def on_leave(  # type: ignore[override]
        self, original_node: cst.CSTNode, updated_node: cst.CSTNode
    ) -> cst.CSTNode:
        left = super().on_leave(original_node, updated_node)
        if self.plan.replaces and isinstance(original_node, cst.BaseExpression):
            for step in self.plan.replaces:
                if step.at == self.position(original_node) and _same(original_node, step.old, self.module):
                    self.done += 1
                    return cst.parse_expression(step.new)
        return left  # type: ignore[return-value]


def _same(node: cst.BaseExpression, text: str, module: cst.Module) -> bool:
    try:
        return ast.unparse(ast.parse(module.code_for_node(node).strip(), mode="eval")) == text
    except SyntaxError:
        return False


def _rewritten_function(piece: str, indented: bool, plan: Plan, first_row: int) -> str:
    """The rows of a function after the plan; they may be indented (a method)."""
    newline = "\r\n" if "\r\n" in piece else "\n"
    opening = f"if True:{newline}" if indented else ""
    module = cst.parse_module(opening + piece)
    rewriter = _Rewriter(module, plan, first_row - 1 - (1 if indented else 0))
    result = MetadataWrapper(module, unsafe_skip_copy=True).visit(rewriter)
    expected = len(plan.wraps) + len(plan.inserts) + len(plan.appends) + len(plan.replaces)
    if rewriter.done != expected:
        raise NotCarriedOut(f"{rewriter.done} of {expected} steps found their place")
    return result.code[len(opening) :]


def _row_edits(filename: str, before: Sequence[str], after: Sequence[str], first_row: int) -> list[Edit]:
    """Edits that turn the rows `before`, the first of which is row `first_row`, into `after`."""
    edits: list[Edit] = []
    for tag, low, high, new_low, new_high in difflib.SequenceMatcher(
        None, before, after, False
    ).get_opcodes():
        if tag == "equal":
            continue
        end_row, end_column = first_row + high, 1
        if high == len(before) and high > low and not before[-1].endswith(("\n", "\r")):
            end_row, end_column = first_row + high - 1, len(before[-1]) + 1
        place = Place(filename, first_row + low, 1, end_row, end_column)
        edits.append(Edit(place, "".join(after[new_low:new_high])))
    return edits


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


def _import_edits(filename: str, text: str, module: ast.Module, wanted: Sequence[Import]) -> list[Edit]:
    """Edits that add the missing imports: the standard library's in order, others placed by libcst."""
    missing = [item for item in wanted if not _has_import(module, item)]
    standard = [item for item in missing if item.name is None and item.module in sys.stdlib_module_names]
    edits = [_standard_import(filename, text, module, item) for item in standard]
    others = [ImportItem(item.module, item.name, item.alias) for item in missing if item not in standard]
    if not others:
        return edits
    changed = AddImportsVisitor(CodemodContext(), others).transform_module(cst.parse_module(text)).code
    old, new = rows(text), rows(changed)
    pairs = enumerate(zip(old, new, strict=False))
    head = next((n for n, (a, b) in pairs if a != b), min(len(old), len(new)))
    added = len(new) - len(old)
    if added <= 0 or old[head:] != new[head + added :]:
        raise NotCarriedOut("the import could not be added by an insertion")
    place = Place(filename, head + 1, 1, head + 1, 1)
    return [*edits, Edit(place, "".join(new[head : head + added]))]


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


def _helper_edits(filename: str, text: str, module: ast.Module) -> list[Edit]:
    """The insertion of the module-level helper behind the leading imports, unless it is there."""
    definitions = (node for node in module.body if isinstance(node, ast.FunctionDef))
    if any(node.name == ERROR_COPY for node in definitions):
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


def edits_of(
    plan: Plan, filename: str, text: str, module: ast.Module, function: ast.FunctionDef
) -> tuple[Edit, ...]:
    """The edits that carry out `plan`; NotCarriedOut when the concrete syntax does not fit."""
    first, last = function.lineno, function.end_lineno or function.lineno
    text_rows = rows(text)
    before = text_rows[first - 1 : last]
    try:
        after = rows(_rewritten_function("".join(before), before[0][:1] in " \t", plan, first))
    except cst.ParserSyntaxError as error:
        raise NotCarriedOut(str(error)) from error
    edits = _row_edits(filename, before, after, first)
    imports = list(plan.imports)
    if plan.needs_error_copy:
        imports.append(Import("pickle"))
        edits += _helper_edits(filename, text, module)
    edits += _import_edits(filename, text, module, imports)
    edits = _merged(edits)
    changed = _applied(text, edits)
    if parsed(changed) is None:
        raise NotCarriedOut("the result does not parse")
    return tuple(edits)


def _merged(edits: Sequence[Edit]) -> list[Edit]:
    """In order of place; insertions at one place (an import, then the helper behind it) become one."""
    merged: list[Edit] = []
    for edit in sorted(edits, key=lambda each: (each.place, not each.content.startswith("import "))):
        if merged and merged[-1].place == edit.place:
            merged[-1] = Edit(edit.place, merged[-1].content + edit.content)
        else:
            merged.append(edit)
    return merged


def _applied(text: str, edits: Sequence[Edit]) -> str:
    text_rows = rows(text)
    for edit in reversed(edits):
        low, high = edit.place.row - 1, edit.place.end_row - 1 + (1 if edit.place.end_column > 1 else 0)
        text_rows[low:high] = [edit.content]
    return "".join(text_rows)
