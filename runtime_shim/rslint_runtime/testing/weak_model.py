"""A model of a CPU with a weak memory model, over shared memory, in one process: missing fences show on any machine.

Functions run as *cores*: one at a time, switched at accesses of shared memory, all of it decided by a seed. What an Arm
CPU may do to accesses that no fence keeps apart, the model does:

- **Stores drain late, in any order.** A store waits in its core's buffer; what waits becomes visible in random order.
  Stores to the same place keep theirs. A core sees its own stores at once.
- **Loads may be old.** A load returns any value its place has had since the core's last fence, never one older than
  what the core has seen there already (coherence).
- **Stores overtake loads.** A store may become visible before earlier loads of many bytes are done. If another core
  sees it and overwrites these bytes before the next fence, the bytes are lost: `Overtaken` is raised.

A fence drains the core's buffer and forgets what was old. Fences are `memory_fence()` and every `acquire` and `release`
of a `threading.Lock`; the pair of `with lock: pass` is one.

Stronger than Arm in two points: single elements of up to 8 bytes are loaded where they stand (a branch on them usually
follows, and orders later stores), and memory has one order for all cores, as Arm's has since version 8.

Sources: Pulte, Flur, Deacon, French, Sarkar, Sewell, "Simplifying ARM Concurrency", POPL 2018.
"""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from rslint_runtime.testing.weak_state import (
    Core,
    Late,
    Overtaken,
    Segment,
    Stopped,
    Store,
    Stuck,
    allocate,
    overlaid,
    overlap,
    stay_on_one_cpu,
)

T = TypeVar("T")

_SWITCH = 0.08
_DRAIN = 0.25
_LENGTH = 1.0 / math.log(1.0 - _DRAIN)
_WORD = 8


class WeakMemory:
    """One run of the model. Get it from `weak_memory.weak_memory`."""

    def __init__(self, seed: int, most_accesses: int) -> None:
        self._random = random.Random(seed)
        self._chance = self._random.random
        self._most = most_accesses
        self._accesses = 0
        self._left = self._drawn = 0
        self._now = 0
        self._slept = 0.0
        self._segments: dict[tuple[int, int], Segment] = {}
        self._late: list[Late] = []
        self._cores: list[Core] = []
        self.core: Core | None = None  # that runs now; None outside of `run`
        self._failure: BaseException | None = None
        self._over = allocate()

    def segment(self, file: tuple[int, int], name: str, mapping: Callable[[], memoryview]) -> Segment:
        """The segment of this file; `mapping` makes one that outlives the programs' own, called `name` in messages."""
        if file not in self._segments:
            self._segments[file] = Segment(name, mapping())
        return self._segments[file]

    def clock(self) -> float:
        """Seconds as the cores see them: what they have slept, and a microsecond for each access and each question (who
        polls until a time has passed would never come back otherwise)."""
        self._slept += 1e-6
        return self._slept + 1e-6 * self._accesses

    # Running ------------------------------------------------------------------------------------------------

    def run(self, *functions: Callable[[], T]) -> tuple[T, ...]:
        """Run each function as a core, and return what they return.

        Raises what a core raises, `Stuck` when they make too many accesses, `Overtaken` when loads were overtaken.
        """
        self._cores = [Core(index) for index in range(len(functions))]
        self._accesses, self._left, self._drawn, self._failure = 0, 0, 0, None
        results: list[Any] = [None] * len(functions)
        self._over.acquire()
        threads = [
            threading.Thread(target=self._body, args=(core, function, results), daemon=True)
            for core, function in zip(self._cores, functions, strict=True)
        ]
        for thread in threads:
            thread.start()
        self._random.choice(self._cores).baton.release()
        with self._over:
            pass
        for thread in threads:
            thread.join()
        self._late.clear()
        if self._failure is not None:
            raise self._failure
        return tuple(results)

    def _body(self, core: Core, function: Callable[[], T], results: list[Any]) -> None:
        stay_on_one_cpu()
        core.baton.acquire()
        self.core = core
        try:
            if self._failure is None:
                results[core.index] = function()
                self.fence()
        except Stopped:
            pass
        except BaseException as error:
            self._failure = self._failure or error
        core.done = True
        self.core = None
        following = [other for other in self._cores if not other.done]
        if following:
            self._random.choice(following).baton.release()
        else:
            self._over.release()

    def pause(self, seconds: float = 0.0) -> None:
        """Let another core run, and drain what the chance says; so many seconds pass."""
        core = self.core
        if core is not None:
            self._slept += max(seconds, 0.0)
            self._count(1)
            self._drain_some()
            core.idle = self._now
            self._switch(core)
            core.idle = -1

    def _count(self, accesses: int) -> None:
        self._accesses += accesses
        if self._accesses > self._most:
            self._fail(Stuck(f"the cores did not end within {self._most} accesses"))

    def _event(self, core: Core) -> None:
        """Let another core run, or a store become visible; and choose after how many accesses something happens again.
        That is drawn at once, not access by access: most accesses then cost no drawing of lots."""
        self._count(self._drawn + 1)
        self._left = self._drawn = int(math.log(1.0 - self._chance()) * _LENGTH)
        if self._chance() < _SWITCH / _DRAIN:
            self._switch(core)
        else:
            self._drain_some()

    def _switch(self, core: Core) -> None:
        others = [other for other in self._cores if other is not core and not other.done]
        if len(others) > 1:
            others = [other for other in others if other.idle != self._now] or others
        if others:
            others[int(self._chance() * len(others))].baton.release()
            core.baton.acquire()
            self.core = core
        if self._failure is not None:
            raise Stopped

    def _fail(self, error: BaseException) -> None:
        self._failure = self._failure or error
        raise Stopped

    # Memory -------------------------------------------------------------------------------------------------

    def load_byte(self, segment: Segment, at: int) -> int:
        """One byte as this core sees it."""
        core = self.core
        if core is not None:
            self._left -= 1
            if self._left < 0:
                self._event(core)
            if self._late:
                self._notice(core, segment, at, at + 1)
            if core.buffer or segment.changed > core.fenced:
                return self._word(core, segment, at, at + 1)[0]
        return segment.memory[at]

    def load(self, segment: Segment, start: int, end: int, *, bulk: bool) -> bytes:
        """The bytes from `start` to `end` as this core sees them; `bulk` for more than one element."""
        core = self.core
        if core is None:
            return bytes(segment.memory[start:end])
        self._left -= 1
        if self._left < 0:
            self._event(core)
        if self._late:
            self._notice(core, segment, start, end)
        if not bulk:
            return self._word(core, segment, start, end)
        core.reads[segment, start, end] = None
        if not core.buffer and not segment.changed > core.fenced:
            return bytes(segment.memory[start:end])
        step = max(_WORD, -(-(end - start) // 4))
        return b"".join(
            [self._word(core, segment, at, min(at + step, end)) for at in range(start, end, step)]
        )

    def _word(self, core: Core, segment: Segment, start: int, end: int) -> bytes:
        data = bytes(segment.memory[start:end])
        if segment.changed > core.fenced:
            data = self._older(core, segment, start, end, data)
        if core.buffer:
            for buffered, first, last, stored in core.buffer:
                if buffered is segment and first < end and start < last:
                    data = overlaid(data, start, stored, first)
        return data

    def _older(self, core: Core, segment: Segment, start: int, end: int, data: bytes) -> bytes:
        """A value of the place since the last fence, none older than what the core has seen of it."""
        since = core.fenced
        for (seen, first, last), when in core.seen.items():
            if seen is segment and first < end and start < last and when > since:
                since = when
        undone = self._now
        for when, first, last, before, by in reversed(segment.past):
            if when <= since:
                break
            if first < end and start < last:
                if by is core or self._chance() < 0.5:
                    break
                data = overlaid(data, start, before, first)
                undone = when - 1
        core.seen[segment, start, end] = undone
        return data

    def _notice(self, core: Core, segment: Segment, start: int, end: int) -> None:
        for late in self._late:
            stored, first, last, _ = late.store
            if late.core is not core and stored is segment and first < end and start < last:
                late.seen_by.add(core)

    def store(self, segment: Segment, start: int, data: bytes, *, bulk: bool) -> None:
        """Store bytes, to become visible later; those of one element together."""
        core = self.core
        if core is None:
            segment.memory[start : start + len(data)] = data
            return
        self._left -= 1
        if self._left < 0:
            self._event(core)
        if not bulk:
            self._store_word(core, (segment, start, start + len(data), data))
            return
        step = max(_WORD, -(-len(data) // 4))
        for at in range(0, len(data), step):
            piece = data[at : at + step]
            core.buffer.append((segment, start + at, start + at + len(piece), piece))

    def _store_word(self, core: Core, store: Store) -> None:
        """One element is stored together, and may overtake earlier loads of many bytes."""
        if core.reads and self._chance() < 0.5 and not any(overlap(store, one[:3]) for one in core.buffer):
            self._apply(core, store)
            self._late.append(Late(core, tuple(core.reads), store))
        else:
            core.buffer.append(store)

    def fence(self) -> None:
        """Order everything before against everything behind, on this core."""
        core = self.core
        if core is None:
            return
        self._left -= 1
        if self._left < 0:
            self._event(core)
        while core.buffer:
            self._drain(core)
            if core.buffer and self._chance() < _SWITCH:
                self._switch(core)
        core.fenced = self._now
        if core.seen:
            core.seen.clear()
        if core.reads:
            core.reads.clear()
        if self._late:
            self._late = [late for late in self._late if late.core is not core]

    def _drain_some(self) -> None:
        waiting = [core for core in self._cores if core.buffer]
        if len(waiting) == 1:
            self._drain(waiting[0])
        elif waiting:
            self._drain(waiting[int(self._chance() * len(waiting))])

    def _drain(self, core: Core) -> None:
        """Make one waiting store visible, any that no earlier store to the same place holds back."""
        buffer = core.buffer
        if len(buffer) == 1:
            self._apply(core, buffer.pop())
            return
        chosen = int(self._chance() * len(buffer))
        for index in range(chosen - 1, -1, -1):
            if overlap(buffer[index], buffer[chosen][:3]):
                chosen = index
        self._apply(core, buffer.pop(chosen))

    def _apply(self, core: Core, store: Store) -> None:
        segment, start, end, data = store
        self._now += 1
        segment.changed = self._now
        before = bytes(segment.memory[start:end])
        segment.past.append((self._now, start, end, before, core))
        segment.memory[start:end] = data
        core.seen[segment, start, end] = self._now
        for late in self._late:
            if core in late.seen_by and before != data and any(overlap(store, read) for read in late.reads):
                where = f"bytes {late.store[1]} to {late.store[2]} of {late.store[0].name}"
                self._fail(
                    Overtaken(
                        f"core {late.core.index} stored to {where} with no fence after it had read bytes {start} to "
                        f"{end} of {segment.name}; core {core.index} saw the store and overwrote them"
                    )
                )
