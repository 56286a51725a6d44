"""Decisions that are stale, each beside the one that looks like it and is right; rows without `# =>` are silent."""

from __future__ import annotations

from pathlib import Path

from tests.locks.building import assert_beside


def test_double_checks_by_none_by_key_by_attribute_and_for_a_class(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        import threading

        class Store:
            lock = threading.Lock()
            instance = None

            def __init__(self):
                self.entries = {}
                self.pool = None
                self.limit = 3

            def by_none(self):
                if self.pool is None:
                    with self.lock:
                        self.pool = make()  # => double-checked

            def by_early_return(self, key):
                if key in self.entries:
                    return self.entries[key]
                with self.lock:
                    self.entries[key] = make()  # => double-checked

            def through_a_local(self):
                thread = self.thread
                if not thread:
                    with self.lock:
                        self.thread = make()  # => double-checked

            def by_hasattr(self):
                if not hasattr(self, "client"):
                    with self.lock:
                        self.client = make()  # => double-checked

            def tested_again_through_get(self, key):
                if key not in self.entries:
                    with self.lock:
                        entry = self.entries.get(key)
                        if entry is None:
                            self.entries[key] = make()

            def set_default(self, key):
                if key not in self.entries:
                    with self.lock:
                        self.entries.setdefault(key, make())

            def a_constant_twice(self):
                if self.running:
                    with self.lock:
                        self.running = False

            def another_question(self, size):
                if size > self.limit:
                    with self.lock:
                        self.pool = make()

            def both_under_another_lock(self):
                with self.outer_lock:
                    if self.inner is None:
                        with self.lock:
                            self.inner = make()

            def __new__(cls):
                if cls.instance is None:
                    with cls.lock:
                        cls.instance = super().__new__(cls)  # => double-checked
                return cls.instance
        """,
    )


def test_published_before_it_is_ready(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        import asyncio
        import threading

        class Cluster:
            def __init__(self):
                self.lock = asyncio.Lock()
                self.check = threading.Lock()
                self.cold = True
                self.warm = True
                self.pid = 0
                self.reset()

            async def flag_first(self):
                if self.cold:
                    async with self.lock:
                        if self.cold:
                            self.cold = False  # => early-publication
                            await self.fetch()

            async def flag_last(self):
                if self.warm:
                    async with self.lock:
                        if self.warm:
                            await self.fetch()
                            self.warm = False

            async def flag_set_again_on_error(self):
                if self.hot:
                    async with self.lock:
                        if self.hot:
                            try:
                                await self.fetch()
                                self.hot = False
                            except OSError:
                                self.hot = True
                                await self.fetch()

            async def claimed_to_be_closed_once(self):
                if self.open:
                    async with self.lock:
                        if self.open:
                            self.open = False
                            await self.socket.close()

            async def fetch(self):
                await asyncio.sleep(1)

            def reset(self):
                self.pid = current()  # => early-publication
                self.connections = make()

            def check_pid(self):
                if self.pid != current():
                    with self.check:
                        if self.pid == current():
                            return
                        self.reset()

            def use(self):
                return self.connections.pop()

        class Ready:
            def __init__(self):
                self.check = threading.Lock()
                self.reset()

            def reset(self):
                self.connections = make()
                self.pid = current()

            def check_pid(self):
                if self.pid != current():
                    with self.check:
                        if self.pid == current():
                            return
                        self.reset()

            def use(self):
                return self.connections.pop()
        """,
    )


def test_locks_that_leave_their_map(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        import asyncio
        import threading
        from weakref import WeakValueDictionary

        class Loads:
            def __init__(self):
                self.locks = {}
                self.counted = {}
                self.weak = WeakValueDictionary()
                self.sessions = {}
                self.session_locks = {}
                self.plain = {}

            def lock_of(self, name):
                lock = self.locks.get(name)
                if lock is None:
                    lock = asyncio.Lock()
                    self.locks[name] = lock
                return lock

            async def load(self, name):
                lock = self.lock_of(name)
                async with lock:
                    await work()
                self.locks.pop(name, None)  # => eviction

            async def with_a_count(self, name):
                lock = self.counted.setdefault(name, asyncio.Lock())
                async with lock:
                    await work()
                    if self.waiters[name] == 0:
                        del self.counted[name]

            async def weakly(self, name):
                lock = self.weak.setdefault(name, asyncio.Lock())
                async with lock:
                    await work()
                    self.weak.pop(name, None)

            def open(self, name):
                self.sessions[name] = make()
                self.session_locks[name] = asyncio.Lock()

            async def close(self, name):
                async with self.session_locks[name]:
                    self.sessions.pop(name)
                    self.session_locks.pop(name)  # => (eviction)

            async def no_lock_at_all(self, name):
                self.plain[name] = make()
                self.plain.pop(name)
        """,
    )


def test_iterations_that_others_disturb(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        import asyncio
        import threading

        class Server:
            def __init__(self):
                self.lock = threading.Lock()
                self.clients = {}
                self.names = set()
                self.rows = []
                self.replaced = {}
                self.mixed = {}

            def add(self, name):
                with self.lock:
                    self.clients[name] = make()
                    self.names.add(name)
                    self.rows.append(name)
                    self.replaced = {**self.replaced, name: 1}
                    self.mixed[name] = 1

            def add_without(self, name):
                self.mixed[name] = 2

            def bare(self):
                for client in self.clients.values():  # => iteration
                    client.send()

            def in_a_comprehension(self):
                return [client.send() for client in self.names]  # => iteration

            def over_a_copy(self):
                for client in list(self.clients.values()):
                    client.send()
                return sorted(self.names)

            def under_the_lock(self):
                with self.lock:
                    return [client.send() for client in self.clients.values()]

            def a_list_raises_nothing(self):
                for row in self.rows:
                    row.send()

            def replaced_as_a_whole(self):
                for name in self.replaced:
                    name.send()

            def the_author_expects_it(self):
                try:
                    for client in self.clients.values():
                        client.send()
                except RuntimeError:
                    return

            def changed_without_the_lock_as_well(self):
                for name in self.mixed:  # => (iteration)
                    name.send()

            def __len__(self):
                return len(self.clients)

        class Topic:
            def __init__(self):
                self.subscribers = {}
                self.quiet = {}

            def subscribe(self, name):
                self.subscribers[name] = make()
                self.quiet[name] = make()

            async def publish(self):
                for subscriber in self.subscribers.values():  # => iteration
                    await subscriber.tell()

            async def without_an_await(self):
                for subscriber in self.quiet.values():
                    subscriber.tell()
                await asyncio.sleep(1)

            async def found_and_left(self):
                for subscriber in self.quiet.values():
                    await subscriber.tell()
                    break

            async def helper_never_waits(self):
                for subscriber in self.quiet.values():
                    await self.note(subscriber)

            async def note(self, subscriber):
                self.last = subscriber
        """,
    )


def test_decisions_across_an_await(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        import asyncio

        class Backend:
            def __init__(self):
                self.pool = None
                self.lock = asyncio.Lock()
                self.peers = {}
                self.jobs = []
                self.effort = None

            async def get_pool(self):
                if self.pool is None:
                    self.pool = await create_pool()  # => await
                return self.pool

            async def get_pool_once(self):
                async with self.lock:
                    if self.once is None:
                        self.once = await create_pool()
                return self.once

            async def get_tested_again(self):
                if self.again is None:
                    made = await create_pool()
                    if self.again is None:
                        self.again = made
                return self.again

            async def get_effort(self):
                if self.effort is None:
                    self.effort = await self.probe()
                return self.effort

            async def probe(self):
                return await ask()

            async def ensure_peer(self, url):
                if url in self.peers:
                    return
                socket = await open_connection(url)
                self.peers[url] = socket  # => await

            async def ensure_request(self, request_id):
                if request_id in self.peers:
                    return
                self.peers[request_id] = await open_connection(request_id)

            async def ensure_channel(self, url):
                if not self.forced and url in self.channels:
                    return
                socket = await open_connection(url)
                channel = self.channels.get(url)
                if channel is not None:
                    channel.use(socket)
                else:
                    self.channels[url] = make(socket)  # => await

            async def ensure_channel_or_close(self, url):
                if url in self.links:
                    return
                socket = await open_connection(url)
                link = self.links.get(url)
                if link is None:
                    self.links[url] = make(socket)
                else:
                    socket.close()

            async def load_job(self, job):
                if job in self.jobs:
                    raise ValueError(job)
                await ask(job)
                self.jobs.append(job)  # => await

            async def claimed(self, job):
                if job in self.in_flight or job in self.done:
                    return
                self.in_flight.add(job)
                await ask(job)
                self.done.append(job)

            async def start(self):
                if self.server is None:
                    self.server = await start_server()

            async def made_before_the_await(self):
                if self.client is None:
                    self.client = create_client()
                    await self.client.connect()
                return self.client

            async def _called_under_a_lock(self):
                if self.channel is None:
                    self.channel = await open_channel()
                return self.channel

            async def one(self):
                async with self.lock:
                    await self._called_under_a_lock()

            async def other(self):
                async with self.lock:
                    await self._called_under_a_lock()
        """,
    )


def test_what_a_coroutine_makes_for_itself_has_one_owner(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        class Context:
            def __init__(self):
                self.session = None

            async def get_session(self):
                if self.session is None:
                    self.session = await create_session()
                return self.session

        async def handle(request):
            context = Context()
            return await context.get_session()
        """,
    )


def test_entries_that_are_gone(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        import threading

        class Cache:
            def __init__(self):
                self.lock = threading.Lock()
                self.entries = {}

            def evict(self, key):
                with self.lock:
                    self.entries.pop(key, None)

            def two_sections(self, key):
                with self.lock:
                    if key not in self.entries:
                        return None
                with self.lock:
                    return self.entries[key]  # => split

            def tested_in_both(self, key):
                with self.lock:
                    if key not in self.entries:
                        return None
                with self.lock:
                    if key in self.entries:
                        return self.entries[key]

            def another_key(self, key, other):
                with self.lock:
                    if key not in self.entries:
                        return None
                with self.lock:
                    return self.entries[other]

            def asked_with_get(self, key):
                with self.lock:
                    if key not in self.entries:
                        return None
                return self.entries.get(key)

            def marked_before_the_release(self, key):
                with self.lock:
                    if key not in self.entries:
                        return None
                    self.in_use.add(key)
                return self.entries[key]

            def used_below(self, key):
                with self.lock:
                    if key not in self.entries:
                        return None
                return self.size(key)

            def size(self, key):
                return self.entries[key].size  # => stale-read

        class Shelf:
            def __init__(self):
                self.lock = threading.Lock()
                self.entries = {}

            def evict(self, key):
                with self.lock:
                    self.entries.pop(key, None)

            def found_before_the_lock(self, key):
                if key in self.entries:
                    with self.lock:
                        del self.entries[key]  # => stale-read

            def found_before_and_tested_again(self, key):
                if key in self.entries:
                    with self.lock:
                        if key in self.entries:
                            del self.entries[key]
        """,
    )


def test_without_somebody_who_takes_entries_away_nothing_is_stale(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        import threading

        class Registry:
            def __init__(self):
                self.lock = threading.Lock()
                self.entries = {}

            def add(self, key):
                with self.lock:
                    self.entries[key] = 1

            def of(self, key):
                with self.lock:
                    if key not in self.entries:
                        return None
                return self.entries[key]
        """,
    )


def test_locks_that_are_chosen(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        import asyncio
        import threading
        from contextlib import nullcontext

        class Updates:
            def __init__(self, threaded):
                self.lock = asyncio.Lock()
                self.paused = False
                self.threaded = threaded
                self.guard = threading.Lock()

            async def pause(self):
                self.paused = True

            async def update(self):
                async with nullcontext() if self.paused else self.lock:  # => conditional-lock
                    await replace()

            async def nothing_is_awaited(self):
                async with nullcontext() if self.paused else self.lock:
                    replace()

            def by_configuration(self):
                with self.guard if self.threaded else nullcontext():
                    replace()

            def by_parameter(self, locked):
                context = nullcontext() if locked else self.guard
                with context:
                    replace()

            def no_lock_at_all(self):
                with open("file") if self.paused else nullcontext():
                    replace()
        """,
    )


def test_code_that_cannot_be_followed_costs_findings_and_nothing_else(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        from somewhere import *
        import threading

        exec("lock = threading.Lock()")

        class Odd(unknown_base(), metaclass=Meta):
            locals()["lock"] = threading.Lock()

            def __getattr__(self, name):
                with getattr(self, name):
                    self.__dict__[name] = make()

            def star(*parts):
                with parts[0].lock:
                    (lambda: parts)().x = 1
                    parts[0].entries[0:2], *rest = parts
                    del parts[0].entries[0][1], rest

            async def strange(self):
                if (yield_ := await self.x) and not self.y:
                    self.x = self.y = await yield_
                async for self.x in self.y:
                    await self.x
        """,
    )


def test_a_class_in_a_class_may_have_the_name_of_an_attribute(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        import threading

        class Grammar:
            class Stop(Base):
                def __init__(self):
                    self.actions = []
                    self.lock = threading.Lock()

                def locked(self):
                    with self.lock:
                        return self.actions

                actions = []

            def each(self):
                for action in self.actions:
                    action()

            def add(self, action):
                self.actions.append(action)

        class Derived(Grammar.Stop, Grammar):
            pass
        """,
    )


def test_updates_that_are_lost(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        import asyncio
        import threading

        class Meter:
            def __init__(self):
                self.lock = threading.Lock()
                self.tasks = asyncio.Lock()
                self.total = 0
                self.count = 0
                self.seen = 0

            async def add(self):
                self.total += await fetch()  # => await

            async def add_fetched_first(self):
                more = await fetch()
                self.count += more

            async def add_under_a_lock(self):
                async with self.tasks:
                    self.count += await fetch()

            async def through_a_local(self):
                seen = self.seen
                more = await fetch()
                self.seen = seen + more  # => await

            async def compare_and_set(self):
                old = self.version
                new = await fetch()
                if self.version == old:
                    self.version = old + new

            def in_two_sections(self):
                with self.lock:
                    rows = self.rows
                more = read()
                with self.lock:
                    self.rows = rows + more  # => split

            def in_one_section(self):
                with self.lock:
                    rows = self.rows
                    self.rows = rows + 1

            def difference(self):
                with self.lock:
                    before = self.used
                work()
                with self.lock:
                    self.grown = self.used - before
        """,
    )


def test_attributes_that_another_function_sets_to_none(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        import asyncio

        class Child:
            def __init__(self):
                self.queue = make()
                self.process = make()
                self.stream = make()
                self.inbox = make()

            def mark_stopped(self):
                self.queue = None
                self.process = None

            def stop(self):
                self.stream = None

            async def kill(self):
                self.queue.put("stop")
                await asyncio.sleep(0)
                self.queue.close()  # => await

            async def kill_what_it_had(self):
                process = self.process
                process.stop()
                await asyncio.sleep(0)
                process.close()

            async def kill_if_there(self):
                self.process.stop()
                await asyncio.sleep(0)
                if self.process is not None:
                    self.process.close()

            async def without_an_await_between(self):
                await asyncio.sleep(0)
                self.process.stop()
                self.process.close()

            async def ended_by_its_end_alone(self):
                self.stream.write("x")
                await asyncio.sleep(0)
                self.stream.write("y")

            async def never_none(self):
                self.inbox.put("x")
                await asyncio.sleep(0)
                self.inbox.close()
        """,
    )


def test_a_function_with_hundreds_of_tests_and_acts_is_asked_in_time(tmp_path: Path) -> None:
    step = """
                if self.x{n} is None:
                    await ask()
                    self.x{n} = {n}
                    self.seen.append(self.x{n})
    """
    source = (
        """
        import asyncio

        class Long:
            async def get_all(self):
                lock = asyncio.Lock()
    """
        + "".join(step.format(n=n) for n in range(150)).rstrip()
        + "\n"
    )
    assert_beside(tmp_path, source)


def test_a_use_whose_author_expects_the_entry_to_be_gone(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        import contextlib
        import threading

        class Cache:
            def __init__(self):
                self.entries = {}
                self.lock = threading.Lock()

            def evict(self, key):
                with self.lock:
                    self.entries.pop(key, None)

            def read(self, key):
                with self.lock:
                    if key not in self.entries:
                        return None
                try:
                    return self.entries[key]
                except KeyError:
                    return None

            def drop(self, key):
                with self.lock:
                    found = key in self.entries
                if found:
                    with contextlib.suppress(KeyError):
                        del self.entries[key]

            def take(self, key):
                with self.lock:
                    found = key in self.entries
                try:
                    return self.entries.pop(key) if found else None
                except (LookupError, ValueError) as error:
                    raise RuntimeError(key) from error

            def another_error(self, key):
                with self.lock:
                    found = key in self.entries
                try:
                    return self.entries.pop(key) if found else None  # => stale-read
                except Exception:
                    raise
        """,
    )
