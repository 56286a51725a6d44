"""A place where a decision may be stale, with all its evidence: what the rules of RS2 turn into findings."""

from __future__ import annotations

import msgspec

from rslint.flow.forest import Site
from rslint.flow.record import Step

ALSO = "the same here"


class LockSuspect(msgspec.Struct, frozen=True, array_like=True):
    """`kind` is the question that found it: "conditional-lock", "double-checked", "early-publication", "eviction",
    "iteration", "await", "stale-read" or "split".

    `state` is the state as source names it, `lock` the lock ("" where none is involved), `text` the act. `tier` is
    "default" for evidence that held on real code, else "preview". `detail` tells kinds of evidence apart; each rule
    knows its own. `steps` are other places: what was read, who may write in between.
    """

    kind: str
    function: str
    site: Site
    statement: Site
    state: str
    lock: str
    text: str
    tier: str
    detail: str = ""
    steps: tuple[Step, ...] = ()
