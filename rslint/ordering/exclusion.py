"""Which functions run only where other processes are kept out: their accesses need no fences."""

from __future__ import annotations

from rslint.ordering.bindings import calls_of
from rslint.ordering.flow import HELD, Flows, flow_of


def always_held(f: Flows, function: str) -> bool:
    """Whether every call of a function stands in a region that keeps other processes out."""

    def held() -> bool:
        calls = calls_of(f.b, function)
        return bool(calls) and all(_is_held(f, caller, call.span.row) for caller, call in calls)

    return f.b.k.links.remember(("always held", function), held)


def _is_held(f: Flows, caller: str, row: int) -> bool:
    flow = flow_of(f, caller)
    at = [
        HELD in flow.before[node.index]
        for node in flow.cfg.nodes
        if node.origin is not None
        and node.kind in ("statement", "branch")
        and node.origin.span.row <= row <= node.origin.span.end_row
    ]
    return bool(at) and all(at)
