"""Code that looks as if ranks part and is right, each beside the bug it looks like; rows without `# =>` are silent.

What is right here was reported once, on released code, and judged false by two readers.
"""

from __future__ import annotations

from pathlib import Path

from rslint.flow.compare import suspects_of
from rslint.flow.knowledge import Knowledge
from tests.flow.trees import assert_beside


def partings_at(k: Knowledge, identity: str) -> dict[int, str]:
    """The tests on which ranks part, with the collective that some of them skip."""
    found = suspects_of(k, identity) if identity in k.walks else ()
    return {s.site.row: f"{s.kind} {s.collective.name}" for s in found if s.sources and s.collective}


def test_every_rank_leaves_out_its_own_turn(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        def peers(x, rank, world_size):
            for peer in range(world_size):
                if peer == rank:
                    continue
                dist.all_reduce(x)

        def root_only(x, rank, root):
            if root == rank:  # => exit all_reduce
                return
            dist.all_reduce(x)
        """,
        partings_at,
    )


def test_a_rank_within_its_bounds_is_every_rank(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        def bounds(x, rank, world_size):
            if not 0 <= rank < world_size:
                raise ValueError(rank)
            if rank >= dist.get_world_size() or rank < 0:
                raise ValueError(rank)
            dist.all_reduce(x)

        def alone(x, local_rank):
            if local_rank != -1:
                dist.all_reduce(x)

        def first(x, rank):
            if rank <= 0:  # => branch all_reduce
                dist.all_reduce(x)

        def half(x, rank, world_size):
            if rank < world_size // 2:  # => branch all_reduce
                dist.all_reduce(x)
        """,
        partings_at,
    )


def test_conditions_around_a_test_hold_for_the_tests_that_follow(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        def exclusive(x, rank, sharded):
            if sharded:
                x = x + 1
            elif rank == 0:
                return x
            if sharded:
                dist.all_reduce(x)

        def in_order(x, rank, ordered):
            if not ordered and rank == 0:
                print(x)
            elif ordered:
                dist.barrier()

        def changed(x, rank, sharded):
            if sharded:
                x = x + 1
            elif rank == 0:  # => exit all_reduce
                return x
            sharded = len(x) > 1
            if sharded:
                dist.all_reduce(x)

        def together(x, rank, sharded):
            if sharded and rank == 0:  # => exit all_reduce
                return x
            if sharded:
                dist.all_reduce(x)
        """,
        partings_at,
    )


def test_the_first_rank_goes_first_and_the_others_follow(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        from contextlib import contextmanager

        @contextmanager
        def first(local_rank):
            if local_rank not in [-1, 0]:
                dist.barrier()
            yield
            if local_rank == 0:
                dist.barrier()

        def by_order(x, rank):
            if rank > 0:
                dist.barrier()
            x = x + 1
            if rank == 0:
                dist.barrier()

        def second_is_alone(x, rank):
            if rank > 1:
                dist.barrier()
            x = x + 1
            if rank == 0:  # => branch barrier
                dist.barrier()
        """,
        partings_at,
    )


def test_a_group_made_for_those_who_pass_the_test(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        def own(x, rank):
            if rank <= 2:
                group = make_group(rank, 3)
            if rank <= 2:
                dist.all_reduce(x, group=group)

        def wrapped(x, rank):
            if rank <= 2:
                group = Group.create(rank=rank, world_size=3)
                communicator = Communicator(group)
            dist.all_reduce(x)

        class Communicator:
            def __init__(self, group):
                dist.barrier(group=group)

            def save(self):
                dist.barrier()

        def saved(x, rank):
            if rank == 0:  # => branch barrier
                saver = Communicator(x)
                saver.save()

        def everyones(x, rank):
            group = make_group(rank, 4)
            if rank <= 2:  # => branch all_reduce
                dist.all_reduce(x, group=group)
        """,
        partings_at,
    )


def test_one_value_assigned_in_both_arms(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        def alike(x, rank, tuned):
            if rank == 0:
                with tuned():
                    done = run(x, tuned)
            else:
                done = run(x)
            if not done:
                return
            dist.barrier()

        def unlike(x, rank, tuned):
            if rank == 0:
                done = run(x)
            else:
                done = walk(x)
            if not done:  # => exit barrier
                return
            dist.barrier()
        """,
        partings_at,
    )


def test_a_check_that_raises_leaves_no_rank_behind_that_did_not_pass_it(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        import os

        class Cache:
            def __init__(self):
                self.slots, self.found = {}, {}

            def load(self, path):
                if not os.path.isfile(path):
                    raise FileNotFoundError(path)
                self.slots[path] = 1

            def find(self, path):
                if os.path.isfile(path):
                    self.found[path] = 1

            def build(self, x, path):
                if path not in self.slots:
                    return
                dist.all_reduce(x)

            def gather(self, x, path):
                if path not in self.found:  # => exit all_reduce
                    return
                dist.all_reduce(x)
        """,
        partings_at,
    )


def test_what_is_put_into_a_container_leaves_it_the_same_object(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        import os, time

        class Pipeline:
            def __init__(self):
                self.required, self.late, self.model = [], [], None

            def add(self, path):
                if os.path.isfile(path):
                    self.required.append(path)

            def defer(self, request):
                self.late.append((request, time.monotonic()))

            def load(self, path):
                if os.path.isfile(path):
                    self.model = path

            def check(self, x):
                if self.required is None:
                    return
                if not self.late:
                    return
                dist.all_reduce(x)

            def run(self, x):
                if not self.required:  # => exit all_reduce
                    return
                dist.all_reduce(x)

            def start(self, x):
                if self.model is None:  # => exit all_reduce
                    return
                dist.all_reduce(x)
        """,
        partings_at,
    )
