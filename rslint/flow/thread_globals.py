"""Module globals that another thread assigns: ranks see the change at different times."""

from __future__ import annotations

from rslint.flow.knowledge import Knowledge, site_of
from rslint.flow.marks import Sources
from rslint.flow.record import Source, Step
from rslint.flow.survival import uses_of
from rslint.project import ir
from rslint.project.text import statements


def global_sources(k: Knowledge, function: ir.Function, name: str) -> Sources:
    """The sources of a module global, by the threads that assign it; the two nearest."""
    module = function.identity.partition(":")[0]
    key = (module, name, -1)
    known = k.attributes.get(key)
    if known is None:
        found: list[Source] = []
        for writer in k.links.storing_in(module, name):
            if name not in k.links.local_names(writer).outer:
                continue
            body = k.links.ir(writer).body
            declared = [s for s in statements(body) if isinstance(s, ir.Scope) and name in s.names]
            if declared and _on_thread(k, writer, 3):
                step = Step(f"`{name}` is assigned on another thread", site_of(writer, declared[0]))
                found.append(
                    Source("thread", "world", name, site_of(writer, declared[0]), 0, "thread", (step,))
                )
        known = k.attributes[key] = frozenset(found[:2])
    return known


def _on_thread(k: Knowledge, identity: str, depth: int) -> bool:
    uses = uses_of(k, identity, "Exception")
    if any(use.how in ("thread", "task") for use in uses):
        return True
    return depth > 0 and any(
        use.how == "call" and _on_thread(k, use.site.function, depth - 1) for use in uses
    )
