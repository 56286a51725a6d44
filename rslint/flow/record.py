"""What a function tells its callers: one frozen, serialisable record, and the evidence it is made of."""

from __future__ import annotations

import msgspec

from rslint.flow.forest import Node, Site


class Step(msgspec.Struct, frozen=True, array_like=True):
    """One link of a chain of evidence: what happens, where."""

    text: str
    site: Site


class Source(msgspec.Struct, frozen=True, array_like=True):
    """Why a value may differ between ranks.

    `kind`: "rank" (a test of the rank), "rank-value" (the rank itself, not yet tested), "filesystem", "clock",
    "future", "event", "queue", "rpc", "host-allocation", "device-allocation", "caught" (an exception was caught),
    "thread" (written by another thread) or "container" (what a container or attribute holds, shown by `steps`).
    `origin` is the kind that a container's evidence started from. `hops` counts calls between test and source.
    `part` says what of a container differs: "" the object itself, "members" how many and which elements it has,
    "elements" what they are.
    """

    kind: str
    axis: str
    text: str
    site: Site
    hops: int = 0
    origin: str = ""
    steps: tuple[Step, ...] = ()
    part: str = ""


def place_of(source: Source) -> tuple[object, ...]:
    """A total order of sources of one kind: by place, then by the chain that leads there."""
    chain = tuple((step.site, step.text) for step in source.steps)
    return (source.text, source.site, chain, source.axis, source.origin, source.part, source.hops)


class Reason(msgspec.Struct, frozen=True, array_like=True):
    """Why a call may raise on one rank and not on its peers.

    `strength` counts from 1 (a network, RPC or storage client) over 2 (a callback, a with-body), 3 (the author's own
    handler expects it), 4 (only some ranks run it) to 5 (a local call to the operating system). `steps` is the
    shortest chain of calls down to the place, outermost first.
    """

    kind: str
    strength: int
    exceptions: tuple[str, ...]
    text: str
    steps: tuple[Step, ...]
    certainty: str = (
        "model"  # "model" | "name" | "code", "hierarchy" where one of several methods may be meant
    )


class Evidence(msgspec.Struct, frozen=True, array_like=True):
    """A place where an attribute (`self.x`) or global (`x`) is changed on some ranks only, and why; `part` as in
    `Source`."""

    name: str
    source: Source
    site: Site
    part: str = ""


class CallSite(msgspec.Struct, frozen=True, array_like=True):
    """A use of a function: `how` is "call", "thread", "task", "process" or "reference"; `fate` what becomes of an
    exception that comes out of it there: "escapes" (as `raised`: a handler may raise another one instead), "swallowed"
    or "kills"."""

    target: str
    site: Site
    how: str
    fate: str
    raised: str = "Exception"


class FunctionRecord(msgspec.Struct, frozen=True):
    """All that other functions may know of one function."""

    identity: str
    effect: tuple[Node, ...]
    raises: tuple[Reason, ...]
    returns: tuple[Source, ...]
    evidence: tuple[Evidence, ...]
    sites: tuple[CallSite, ...]
