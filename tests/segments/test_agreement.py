"""Removals before all peers have opened: behind the row stands how far away it was handed over, and the test because
of which nobody waits for the peers there."""

from __future__ import annotations

from pathlib import Path

from rslint.segments.paths import covers
from tests.flow.trees import assert_beside
from tests.segments.answers import early

POINTER = """
        from multiprocessing.shared_memory import SharedMemory

        class Pointer:
            def __setstate__(self, state):
                self.handle = SharedMemory(state)

            def take(self):
                self.handle.unlink()

        def has_pointers(items):
            return any(isinstance(item, Pointer) for item in items)

        def take(item):
            if isinstance(item, Pointer):
                item.take()
        """


def test_between_broadcast_and_removal_stands_an_agreement(tmp_path: Path) -> None:
    source = """
        def bare(items, group):
            dist.broadcast_object_list(items, 0, group)
            for item in items:
                take(item)  # => -2

        def barrier(items, group):
            dist.broadcast_object_list(items, 0, group)
            dist.barrier(group)
            for item in items:
                take(item)

        def before(items, group):
            dist.barrier(group)
            dist.broadcast_object_list(items, 0, group)
            for item in items:
                take(item)  # => -2

        def broadcast_is_none(items, group):
            dist.broadcast_object_list(items, 0, group)
            dist.broadcast_object_list([1], 0, group)
            for item in items:
                take(item)  # => -3 -2

        def gathered(items, group):
            dist.broadcast_object_list(items, 0, group)
            dist.all_gather_object([None], 1, group)
            for item in items:
                take(item)
        """
    assert_beside(tmp_path, POINTER + source, early)


def test_a_test_of_its_own_is_the_authors_word_one_asked_before_is_not(tmp_path: Path) -> None:
    source = """
        class Receiver:
            def receive(self, items):
                self.spread(items)
                self.finish(items)

            def spread(self, items):
                if self.dp:
                    dist.broadcast_object_list(items, 0, self.attn_tp_group)
                else:
                    dist.broadcast_object_list(items, 0, self.tp_group)

            def finish(self, items):
                if not self.dp and self.is_multimodal and has_pointers(items):
                    dist.barrier(self.tp_group)
                for item in items:
                    take(item)  # => -8 self.dp True

        class Careful(Receiver):
            def finish(self, items):
                if has_pointers(items):
                    if self.dp:
                        dist.barrier(self.attn_tp_group)
                    else:
                        dist.barrier(self.tp_group)
                for item in items:
                    take(item)

        def only_where_needed(items, size):
            if size > 1:
                dist.broadcast_object_list(items, 0)
            if size > 1 and has_pointers(items):
                dist.barrier()
            for item in items:
                take(item)
        """
    assert_beside(tmp_path, POINTER + source, early)


def test_a_condition_far_from_the_agreement_is_about_something_else(tmp_path: Path) -> None:
    source = """
        class Receiver:
            def receive(self, items):
                dist.broadcast_object_list(items, 0, self.tp_group)
                if self.language_only:
                    self.poll(items)
                for item in items:
                    take(item)  # => -4

            def poll(self, items):
                self.poll_embeddings(items)

            def poll_embeddings(self, items):
                dist.all_reduce(items[0], group=self.tp_group)

            def synchronized(self, items):
                dist.broadcast_object_list(items, 0, self.tp_group)
                self.wait_if_needed(items)
                for item in items:
                    take(item)

            def wait_if_needed(self, items):
                if has_pointers(items):
                    dist.barrier(self.tp_group)
        """
    assert_beside(tmp_path, POINTER + source, early)


def test_the_wrong_group_waits_for_the_wrong_peers(tmp_path: Path) -> None:
    source = """
        class Receiver:
            def receive(self, items):
                dist.broadcast_object_list(items, 0, self.tp_group)
                dist.barrier(self.pp_group)
                for item in items:
                    take(item)  # => -3
        """
    assert_beside(tmp_path, POINTER + source, early)


def test_an_agreement_covers_its_group_and_the_parts_of_it() -> None:
    assert covers("tp", "tp")
    assert covers("tp", "attn_tp")
    assert covers("world", "pp")
    assert covers("?", "tp")
    assert not covers("attn_tp", "tp")
    assert not covers("pp", "tp")


def test_a_name_that_is_sent_needs_an_answer_or_an_end(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        from multiprocessing import Process
        from multiprocessing.shared_memory import SharedMemory

        def sends(connection):
            shm = SharedMemory(create=True, size=8)
            connection.send(shm.name)
            shm.unlink()  # => -1

        def hears(connection):
            shm = SharedMemory(create=True, size=8)
            connection.send(shm.name)
            connection.recv()
            shm.unlink()

        def joins(queue, child):
            shm = SharedMemory(create=True, size=8)
            queue.put(shm.name)
            child.join()
            shm.unlink()

        def queues(work_queue):
            shm = SharedMemory(create=True, size=8)
            work_queue.put((shm.name, 8))
            shm.unlink()  # => -1

        def starts(target):
            shm = SharedMemory(create=True, size=8)
            child = Process(target=target, args=(shm.name,))
            child.start()
            shm.unlink()  # => -2

        def starts_and_joins(target):
            shm = SharedMemory(create=True, size=8)
            child = Process(target=target, args=(shm.name,))
            child.start()
            child.join()
            shm.unlink()

        def another(connection, other):
            shm = SharedMemory(create=True, size=8)
            connection.send(other.name)
            shm.unlink()
        """,
        early,
    )


def test_who_waits_for_the_peers_and_who_does_not(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        from rslint_runtime import create, unlink_after_peers, unlink_after_peers_async

        async def waits_in_a_coroutine(data, group):
            segment = create(len(data))
            dist.broadcast_object_list([segment.name], 0, group)
            await unlink_after_peers_async(segment, group)
            segment.unlink()

        def waits(data, group):
            segment = create(len(data))
            dist.broadcast_object_list([segment.name], 0, group)
            unlink_after_peers(segment, group)
            segment.unlink()

        def does_not(data, group):
            segment = create(len(data))
            dist.broadcast_object_list([segment.name], 0, group)
            segment.unlink()  # => -1
        """,
        early,
    )
