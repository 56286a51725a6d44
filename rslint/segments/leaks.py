"""Segments that keep their name when an exception comes between their creation and their removal (RS303).

A forward may-analysis over the control flow graph follows every segment a function is responsible for, from the call
that opens it to the one that removes it or hands it on; a backward one tells from where an exception leaves the
function with the segment still there. A call that raises in between, for a reason that can be named, is a leak.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rslint.flow.cfg import build_cfg
from rslint.flow.exception_classes import handler_catches
from rslint.flow.forest import Site
from rslint.flow.graph import Cfg, CfgNode, Edge
from rslint.flow.knowledge import Knowledge, site_of
from rslint.flow.reasons import swallowed_types
from rslint.flow.solver import Solution, solve
from rslint.project import ir
from rslint.segments.charges import Charge, charges_of, ends_charge, forgotten_by_test
from rslint.segments.openings import Openings
from rslint.segments.raisers import Raiser, raiser_of


@dataclass(frozen=True)
class Leak:
    """A segment of `function` that stays when one of `raisers` raises, nearest first. `site` is where it was opened, or
    for a handle that was opened elsewhere the first raiser."""

    function: str
    site: Site
    statement: Site
    charge: Charge
    raisers: tuple[tuple[Raiser, Site], ...]


def leaks_of(k: Knowledge, identity: str, openings: Openings) -> Iterator[Leak]:
    """The leaks of one function, in order of place."""
    function = k.links.ir(identity)
    charges = charges_of(k, function, openings)
    if not charges:
        return
    cfg = _graph(k, function, charges)
    forward = _live(k, function, cfg, charges)
    lost = _lost(k, function, cfg, charges)
    for number, charge in enumerate(charges):
        raisers: dict[Site, Raiser] = {}
        for node in cfg.nodes:
            raiser = _raiser(k, function, charges, charge, node)
            if raiser is None or number not in forward.before[node.index]:
                continue
            if any(e.kind == "exception" and _is_lost(cfg, lost, e, number) for e in node.successors):
                raisers.setdefault(site_of(identity, raiser.at), raiser)
        if raisers:
            found = sorted(raisers.items(), key=lambda pair: (pair[0].row, pair[0].column))
            place = charge.opening.call if charge.opening is not None else found[0][1].at
            statement = charge.opening.statement if charge.opening is not None else found[0][1].at
            yield Leak(
                identity,
                site_of(identity, place),
                site_of(identity, statement),
                charge,
                tuple((raiser, site) for site, raiser in found),
            )


def _is_lost(cfg: Cfg, lost: Solution[int], edge: Edge, number: int) -> bool:
    return edge.target == cfg.raise_exit or number in lost.before[edge.target]


def _graph(k: Knowledge, function: ir.Function, charges: tuple[Charge, ...]) -> Cfg:
    identity = function.identity

    def raises(node: ir.Node) -> tuple[str, ...]:
        opened = tuple(
            label
            for c in charges
            if c.opening is not None and c.opening.statement is node
            for label in ("OSError",)
        )
        raiser = raiser_of(k, function, node, frozenset(), narrow=False)
        return (*opened, *(raiser.exceptions if raiser is not None else ()))

    return build_cfg(
        function,
        raises=raises,
        swallows=lambda item: swallowed_types(k, identity, item.context) is not None,
        catches=lambda types, exception: handler_catches(k, identity, types, exception),
    )


def _raiser(
    k: Knowledge, function: ir.Function, charges: tuple[Charge, ...], charge: Charge, node: CfgNode
) -> Raiser | None:
    """Why a node may raise while this segment is there: its own reason, or that the next one cannot be created."""
    if node.origin is None:
        return None
    if node.kind in ("statement", "branch", "expression", "iterate", "with"):
        looked_at = node.clause.context if isinstance(node.clause, ir.WithItem) else node.origin
        found = raiser_of(k, function, looked_at, charge.holders, narrow=charge.opening is None)
        if found is not None:
            return found
        for other in charges:
            if other is not charge and other.opening is not None and other.opening.statement is node.origin:
                return Raiser("shm", other.opening.call, ("OSError",))
    return None


def _live(k: Knowledge, function: ir.Function, cfg: Cfg, charges: tuple[Charge, ...]) -> Solution[int]:
    """Which segments may be there, and nobody else's to remove, before and after every node."""
    ended = _ended(k, function, cfg, charges)

    def begun(node: CfgNode) -> frozenset[int]:
        if node.kind not in ("statement", "with"):
            return frozenset()
        return frozenset(
            n for n, c in enumerate(charges) if c.opening is not None and c.opening.statement is node.origin
        )

    def transfer(node: CfgNode, state: frozenset[int]) -> frozenset[int]:
        return (state | begun(node)) - ended[node.index]

    def along(node: CfgNode, edge: Edge, state: frozenset[int]) -> frozenset[int]:
        """What raises in opening has opened nothing; a removal that raises was tried."""
        if edge.kind == "exception":
            return state - begun(node) - ended[node.index]
        return state - forgotten_by_test(k, function, node, edge, charges)

    given = frozenset(n for n, c in enumerate(charges) if c.opening is None)
    return solve(cfg, forward=True, must=False, boundary=given, transfer=transfer, edge_transfer=along)


def _lost(k: Knowledge, function: ir.Function, cfg: Cfg, charges: tuple[Charge, ...]) -> Solution[int]:
    """From which nodes an exception may leave the function before the segment is removed."""
    every = frozenset(range(len(charges)))
    ended = _ended(k, function, cfg, charges)

    def along(node: CfgNode, edge: Edge, state: frozenset[int]) -> frozenset[int]:
        leaving = every if edge.target == cfg.raise_exit else state
        if edge.target == cfg.exit:
            leaving = frozenset()
        leaving = leaving - ended[node.index]
        return (
            leaving
            if edge.kind == "exception"
            else leaving - forgotten_by_test(k, function, node, edge, charges)
        )

    return solve(
        cfg,
        forward=False,
        must=False,
        boundary=frozenset(),
        transfer=lambda node, state: state - ended[node.index],
        edge_transfer=along,
    )


def _ended(
    k: Knowledge, function: ir.Function, cfg: Cfg, charges: tuple[Charge, ...]
) -> list[frozenset[int]]:
    """By node, the segments for which it ends the function's responsibility."""
    return [
        frozenset(n for n, charge in enumerate(charges) if ends_charge(k, function, node, charge))
        for node in cfg.nodes
    ]
