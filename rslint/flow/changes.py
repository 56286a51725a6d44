"""The evidence one function gives: attributes and globals that it changes on some ranks only."""

from __future__ import annotations

from collections.abc import Iterable

from rslint.flow.cfg import CfgNode
from rslint.flow.forest import Site
from rslint.flow.marks import EVIDENCE, NONE, Sources, State
from rslint.flow.reading import MUTATING, Reader
from rslint.flow.record import Evidence, Source, Step, place_of
from rslint.project import ir
from rslint.project.text import dotted, expressions, walk

Change = tuple[ir.Expr, str, Sources]
"""What is changed, which part of it (`Source.part`), and the sources of what is put there."""


def changes_of(reader: Reader, node: CfgNode, state: State, control: Sources) -> Iterable[Evidence]:
    """Attributes and globals that this statement changes on some ranks only."""
    origin = node.origin
    if not isinstance(origin, ir.Stmt) or node.kind != "statement":
        return
    changed = [*_assigned(reader, origin, state), *_mutated(reader, origin, state)]
    s = origin.span
    site = Site(reader.function.identity, s.row, s.column, s.end_row, s.end_column)
    for target, part, values in changed:
        name = dotted(target)
        if name is None or not (name.startswith("self.") or "." not in name):
            continue
        for source in sorted(values | control, key=_strongest_first):
            if source in control and source.kind in EVIDENCE:
                yield Evidence(name, source, site, part)
            elif source in values:
                yield Evidence(name, source, site, part and "elements")


def _assigned(reader: Reader, origin: ir.Stmt, state: State) -> Iterable[Change]:
    if isinstance(origin, ir.Delete):
        for target in origin.targets:
            if isinstance(target, ir.Subscript):
                yield target.value, "members", NONE
    elif isinstance(origin, ir.Assign) and origin.value is not None:
        kinds = ir.Compare | ir.BoolOp | ir.UnaryOp | ir.Name | ir.Attribute | ir.Call
        values = frozenset(
            s
            for s in reader.values(origin.value, state)
            if s.kind in EVIDENCE or (s.kind == "rank" and isinstance(origin.value, kinds))
        )
        for target in origin.targets:
            if isinstance(target, ir.Subscript):
                yield target.value, "members", NONE
            else:
                yield target, "", values


def _mutated(reader: Reader, origin: ir.Stmt, state: State) -> Iterable[Change]:
    if isinstance(origin, ir.Delete):
        return
    for part in expressions(origin):
        for call in walk(part):
            if (
                isinstance(call, ir.Call)
                and isinstance(call.func, ir.Attribute)
                and call.func.attr in MUTATING
            ):
                given = (*call.args, *(keyword.value for keyword in call.keywords))
                held = frozenset(s for e in given for s in reader.values(e, state) if s.kind in EVIDENCE)
                yield call.func.value, "members", held


def _strongest_first(source: Source) -> tuple[object, ...]:
    return (source.hops, len(source.steps), source.kind, place_of(source))


def as_container(evidence: Evidence, attribute: str) -> Source:
    """The evidence of a change as the source that a test of the attribute has."""
    source = evidence.source
    if source.kind == "rank":
        return source
    step = Step(f"`{attribute}` is changed only where {source.text} allows it", evidence.site)
    return Source(
        kind="container",
        axis="world",
        text=attribute,
        site=source.site,
        hops=source.hops,
        origin=source.origin or source.kind,
        steps=(step, *source.steps)[:3],
        part=evidence.part,
    )
