"""Carry out a plan on concrete syntax and say the result as the smallest edits by rows.

Only the rows of one function are parsed (libcst costs 50 to 100 times what `ast` does), plus the whole module
where an import has to be added.
"""

from __future__ import annotations

import ast
import difflib
import textwrap
from collections.abc import Mapping, Sequence

import libcst as cst
from libcst.metadata import MetadataWrapper, PositionProvider

from rslint.finding import Edit, Place
from rslint_rules.divergence.repair.additions import helper_edits, import_edits
from rslint_rules.divergence.repair.plan import Import, NotCarriedOut, Plan, Position, Wrap
from rslint_rules.divergence.repair.site import rows
from rslint_rules.trees import parsed


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
        if not wrap.header:
            return _statements(wrap.trailer, self.module)[0]
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
        edits += helper_edits(filename, text, module)
    edits += import_edits(filename, text, module, imports)
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
