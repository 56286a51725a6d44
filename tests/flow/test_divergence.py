"""Which tests come out differently between ranks, and why: in `# =>` beside the test.

`rank@tp tp_rank` is a source: its kind, the axis on which it differs, its text; `+n` that it lies behind n calls,
`<kind>` where the evidence of a container began. A test without `# =>` must be uniform.
"""

from __future__ import annotations

from pathlib import Path

from rslint.flow.answers import divergence_of
from rslint.flow.compare import suspects_of
from rslint.flow.knowledge import Knowledge
from rslint.flow.record import Source
from rslint.project.text import expressions, statements, walk
from tests.flow.trees import assert_beside, assert_under


def text_of(source: Source) -> str:
    hops = f" +{source.hops}" if source.hops else ""
    origin = f" <{source.origin}>" if source.origin else ""
    return f"{source.kind}@{source.axis} {source.text}{hops}{origin}"


def sources_of(k: Knowledge, identity: str) -> dict[int, str]:
    """The sources of the tests of each row."""
    divergence = divergence_of(k, identity)
    found: dict[int, set[str]] = {}
    for statement in statements(k.links.ir(identity).body):
        for node in (statement, *(part for e in expressions(statement) for part in walk(e))):
            for source in divergence.tests.get(id(node), ()):
                found.setdefault(node.span.row, set()).add(text_of(source))
    return {row: ", ".join(sorted(texts)) for row, texts in found.items()}


def returns_of(k: Knowledge, identity: str) -> str:
    return ", ".join(sorted(text_of(s) for s in divergence_of(k, identity).returns)) or "uniform"


def evidence_of(k: Knowledge, identity: str) -> str:
    items = divergence_of(k, identity).evidence
    return "\n".join(f"{item.name} at {item.site.row}: {text_of(item.source)}" for item in items) or "none"


def suspects_at(k: Knowledge, identity: str) -> dict[int, str]:
    """The places where ranks part, with the collective that some of them skip."""
    found = suspects_of(k, identity) if identity in k.walks else ()
    return {s.site.row: f"{s.kind} {s.collective.name if s.collective else ''}" for s in found}


def test_a_rank_test_parts_only_the_groups_that_count_on_its_axis(tmp_path: Path) -> None:
    """All members of a tensor-parallel group have the same pipeline rank."""
    assert_beside(
        tmp_path,
        """
        def within(x, pp_rank, tp_group):
            if pp_rank == 0:
                dist.all_reduce(x, group=tp_group)

        def across(x, pp_rank, pp_group):
            if pp_rank == 0:  # => branch all_reduce
                dist.all_reduce(x, group=pp_group)

        def whole(x, pp_rank):
            if pp_rank != 0:  # => exit barrier
                return
            dist.barrier()

        def anyone(x, rank, tp_group):
            if rank == 0:  # => branch all_reduce
                dist.all_reduce(x, group=tp_group)

        def both(x, tp_rank, tp_group, pp_group):
            if tp_rank == 0:  # => branch broadcast
                dist.all_reduce(x, group=pp_group)
                dist.broadcast(x, 0, group=tp_group)

        def reordered(x, rank):
            if rank == 0:  # => branch all_reduce
                dist.barrier()
                dist.all_reduce(x)
            else:
                dist.all_reduce(x)
                dist.barrier()

        def alike(x, rank):
            if rank == 0:
                x = x + 1
                dist.broadcast(x, 0)
            else:
                dist.broadcast(x, 0)
        """,
        suspects_at,
    )


def test_ranks_are_known_by_call_name_and_attribute(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        import torch

        def by_call(x):
            if dist.get_rank() == 0:  # => rank@world dist.get_rank()
                x = 1
            mine = dist.get_rank()
            if mine == 0:  # => rank@world dist.get_rank()
                x = 2
            if torch.distributed.get_rank() > 0:  # => rank@world torch.distributed.get_rank()
                x = 3

        def by_name(rank, local_rank, tp_rank, lora_rank, RANKED):
            if rank == 0:  # => rank@? rank
                pass
            if not local_rank:  # => rank@local local_rank
                pass
            if 0 < tp_rank:  # => rank@tp tp_rank
                pass
            if lora_rank == 8 or RANKED:
                pass

        class Worker:
            def by_attribute(self, accelerator):
                if self.pp_rank == 0:  # => rank@pp self.pp_rank
                    pass
                if self.is_first_rank:  # => rank@? self.is_first_rank
                    pass
                if accelerator.is_main_process:  # => rank@world accelerator.is_main_process
                    pass
                if self.is_coordinator():  # => rank@? self.is_coordinator()
                    pass
        """,
        sources_of,
    )


def test_only_a_test_makes_a_rank_divergent(tmp_path: Path) -> None:
    """The rank itself chooses a device, a shard, a name: what is computed from it is no decision between ranks."""
    assert_beside(
        tmp_path,
        """
        def device(rank, devices, shards):
            device = devices[rank]
            name = f"worker {rank}"
            start = rank * 4
            if device.free:
                pass
            if name:
                pass
            if start > len(shards):
                pass
            if rank in shards:
                pass

        def position(rank, world_size):
            if rank % 2 == 0:  # => rank@? rank
                pass
            leader = rank == 0
            if leader:  # => rank@? rank
                pass
            per_rank = 8 // world_size
            if per_rank:
                pass
        """,
        sources_of,
    )


def test_every_operand_has_its_own_sources(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        import os

        def conjunction(rank, path, ready):
            if (
                ready
                and rank == 0  # => rank@? rank
                and os.path.exists(path)  # => filesystem@world os.path.exists()
            ):
                pass
            first = ready and rank == 0
            if first:  # => rank@? rank
                pass
        """,
        sources_of,
    )


def test_this_machine_and_this_moment(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        import os
        import time

        def local(self, path, task, done_event, inbox, host_pool, limit):
            if os.path.exists(path):  # => filesystem@world os.path.exists()
                pass
            if time.monotonic() - self.begun > limit:  # => clock@world time.monotonic()
                pass
            if task.done():  # => future@world task.done()
                pass
            if done_event.is_set():  # => event@world done_event.is_set()
                pass
            if inbox.empty():  # => queue@world inbox.empty()
                pass
            blocks = host_pool.alloc(4)
            if blocks is None:  # => host-allocation@world host_pool.alloc()
                pass

        def same(self, path, config, args):
            if os.environ.get("MODE") == "fast":
                pass
            if config.rank_aware and args.debug:
                pass
            if self.world_size > 1 and dist.get_world_size() == 2:
                pass
            if isinstance(path, str):
                pass
        """,
        sources_of,
    )


def test_a_value_passes_through_assignments_and_builtins(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        import os

        def passed(folder):
            names = os.listdir(folder)
            names = sorted(names)
            count = len(names)
            enough = count > 3
            if enough:  # => filesystem@world os.listdir()
                pass
            names = ["a"]
            if names:
                pass

        def several(folder):
            names, fixed = os.listdir(folder), 3
            if names:  # => filesystem@world os.listdir()
                pass
            if fixed:
                pass
            count = 0
            count += len(names)
            if count:  # => filesystem@world os.listdir()
                pass
        """,
        sources_of,
    )


def test_what_only_some_ranks_assign_differs_afterwards(tmp_path: Path) -> None:
    """The phi of static single assignment form: the branch that chose is the source of the value."""
    assert_beside(
        tmp_path,
        """
        def chosen(rank, x):
            found = False
            if rank == 0:  # => rank@? rank
                found = x.search()
            if found:  # => rank@? rank
                pass

        def picked(rank, x):
            mode = "write" if rank == 0 else "read"
            if mode == "write":  # => rank@? rank
                pass

        def rebound(rank, x):
            found = False
            if rank == 0:  # => rank@? rank
                found = True
            found = x.all_good
            if found:
                pass

        def listed(rank, x):
            found = []
            if rank == 0:  # => rank@? rank
                found.append(x)
            if found:  # => rank@? rank
                pass
        """,
        sources_of,
    )


def test_a_choice_between_equal_constants_is_none(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        def picked(rank):
            mode = "all" if rank == 0 else "all"
            if mode:
                pass
        """,
        sources_of,
    )


def test_ranks_that_stay_behind_an_exit_agree(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        def left(rank, x):
            if rank != 0:  # => rank@? rank
                return None
            found = x.search()
            if found:
                pass
            return found
        """,
        sources_of,
    )


def test_a_copy_between_equal_values_stays_uniform(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        def copied(rank, x, y):
            value = x
            if rank == 0:  # => rank@? rank
                value = y
            if value is None:
                pass
        """,
        sources_of,
    )


def test_collectives_that_leave_the_same_value_everywhere_end_divergence(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        import os

        def broadcasted(rank, flag):
            if rank == 0:  # => rank@? rank
                flag.fill_(os.path.exists("a"))
            dist.broadcast(flag, 0)
            if flag:
                pass

        def listed(rank):
            answer = [None]
            if rank == 0:  # => rank@? rank
                answer[0] = os.path.exists("a")
            if answer[0]:  # => filesystem@world os.path.exists(), rank@? rank
                pass
            dist.broadcast_object_list(answer, src=0)
            if answer[0]:
                pass

        def sent_from_one_arm(rank):
            failure = None
            if rank == 0:  # => rank@? rank
                try:
                    answer = requests.get("http://a/")
                except OSError as error:
                    answer, failure = None, error
                dist.broadcast_object_list([answer, failure], src=0)
            else:
                received = [None, None]
                dist.broadcast_object_list(received, src=0)
                failure = received.pop()
                answer = received[0]
            if failure is not None:
                raise failure
            if answer:
                pass

        def alone_nobody_sends(rank, world_size, path):
            failure = None
            try:
                open(path)
            except OSError as error:
                failure = error
            if world_size > 1:
                sent = [failure]
                dist.broadcast_object_list(sent, src=0)
                failure = sent[0]
            if failure is not None:
                raise failure

        def made_in_one_arm(rank):
            failure = None
            if rank == 0:  # => rank@? rank
                other = [None, None]
                failure = other.pop()
            if failure is not None:  # => rank@? rank
                raise failure

        def reduced(flag):
            flag = os.path.exists("a")
            if flag:  # => filesystem@world os.path.exists()
                pass
            dist.all_reduce(flag)
            if flag:
                pass

        def gathered(folder):
            mine = os.listdir(folder)
            everyone = [None] * 2
            dist.all_gather_object(everyone, mine)
            if all(everyone):
                pass
            if mine:  # => filesystem@world os.listdir()
                pass

        def gathered_to_one(folder, everyone):
            mine = os.listdir(folder)
            dist.gather_object(mine, everyone)
            if mine:  # => filesystem@world os.listdir()
                pass

        def returned(group, folder):
            mine = os.listdir(folder)
            mine = group.broadcast_object(mine, src=0)
            if mine:
                pass

        def by_name(self, folder):
            mine = os.listdir(folder)
            agreed = self.sync_across_ranks(mine)
            if agreed:
                pass
        """,
        sources_of,
    )


def test_a_collective_on_one_path_only_ends_nothing_on_the_other(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        import os

        def sometimes(flag, fast):
            flag = os.path.exists("a")
            if not fast:
                dist.all_reduce(flag)
            if flag:  # => filesystem@world os.path.exists()
                pass
        """,
        sources_of,
    )


def test_sizes_and_counts_are_no_ranks(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        def sizes(rank, env):
            world_size = env.rank + 1
            if world_size > 1:
                pass
            num_ranks = rank
            if num_ranks == 2:
                pass
        """,
        sources_of,
    )


def test_a_function_tells_what_its_result_depends_on(tmp_path: Path) -> None:
    source = """
        import os

        def begins(rank):
            #| rank@? rank
            return rank == 0

        def has_file(path):
            #| filesystem@world os.path.exists()
            found = os.path.exists(path)
            return found

        def pick(rank, path):
            #| rank@? rank
            if rank == 0:  # => rank@? rank
                return True
            return False

        def shard(rank, shards):
            #| uniform
            return shards[rank]

        def deeper(path):
            #| filesystem@world os.path.exists() +1
            return has_file(path)

        def asks(rank, path):
            if begins(rank):  # => rank@? rank +1
                pass
            if deeper(path):  # => filesystem@world os.path.exists() +2
                pass
            if shard(rank, path):
                pass
        """
    (tmp_path / "returns").mkdir()
    (tmp_path / "tests").mkdir()
    assert_under(tmp_path / "returns", source, returns_of)
    assert_beside(tmp_path / "tests", source, sources_of)


def test_a_property_is_what_it_returns(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        class Worker:
            @property
            def leads(self):
                return self.rank == 0

            @property
            def mode(self):
                return self.config.mode

            def run(self):
                if self.leads:  # => rank@? self.rank +1
                    pass
                if self.mode:
                    pass
        """,
        sources_of,
    )


def test_a_container_is_divergent_where_a_change_on_some_ranks_is_shown(tmp_path: Path) -> None:
    source = """
        import os
        import time

        class Cache:
            def __init__(self):
                #| none
                self.pending = []
                self.blocks = {}
                self.begun = 0

            def load(self, path):
                #| self.pending at 16: filesystem@world os.path.exists()
                if os.path.exists(path):  # => filesystem@world os.path.exists()
                    self.pending.append(path)

            def put(self, key, value):
                #| none
                self.blocks[key] = value

            def step(self):
                if self.pending:  # => container@world self.pending <filesystem>
                    pass
                if self.blocks:
                    pass

        class Other:
            def step(self):
                if self.pending:
                    pass
        """
    (tmp_path / "evidence").mkdir()
    (tmp_path / "tests").mkdir()
    assert_under(tmp_path / "evidence", source, evidence_of)
    assert_beside(tmp_path / "tests", source, sources_of)


def test_evidence_reaches_subclasses(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        import time

        class Base:
            def expire(self, limit):
                if time.monotonic() > limit:  # => clock@world time.monotonic()
                    self.expired.append(limit)

        class Derived(Base):
            def step(self):
                if self.expired:  # => container@world self.expired <clock>
                    pass
        """,
        sources_of,
    )


def test_a_rank_test_kept_in_an_attribute_is_the_rank_test(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        class Worker:
            def __init__(self, rank):
                self.writes = rank == 0

            def step(self):
                if self.writes:  # => rank@? rank
                    pass
        """,
        sources_of,
    )


def test_a_handler_is_entered_where_the_call_failed_on_one_rank(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        import requests

        def asked(url):
            good = True
            try:
                requests.get(url)
            except OSError:
                good = False
            if good:  # => caught@world requests.get not raising <caught>
                pass

        def parsed(text):
            good = True
            try:
                value = int(text)
            except ValueError:
                good = False
            if good:
                pass
        """,
        sources_of,
    )


def test_a_loop_variable_holds_what_the_items_hold(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        import os

        def each(folder, items):
            for name in os.listdir(folder):  # => filesystem@world os.listdir()
                if name:  # => filesystem@world os.listdir()
                    pass
            for item in items:
                if item:
                    pass
        """,
        sources_of,
    )


def test_evidence_found_later_in_a_loop_counts_in_its_next_turn(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        import os

        def turns(items):
            seen = False
            for item in items:
                if seen:  # => filesystem@world os.path.exists()
                    pass
                seen = os.path.exists(item)
        """,
        sources_of,
    )


def test_a_global_that_a_thread_assigns_is_seen_at_different_times(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        import threading

        stopping = False
        mode = "fast"

        def watch():
            global stopping
            stopping = True

        def start():
            threading.Thread(target=watch).start()

        def step():
            if stopping:  # => thread@world stopping <thread>
                pass
            if mode:
                pass
        """,
        sources_of,
    )


def test_what_a_test_assigns_is_still_tested(tmp_path: Path) -> None:
    assert_beside(
        tmp_path,
        """
        def compared(x):
            if (rank := dist.get_rank()) != 0:  # => rank@world dist.get_rank()
                return rank
            dist.all_reduce(x)

        def size(x):
            if (members := dist.get_world_size()) > 2:
                return members
            dist.all_reduce(x)
        """,
        sources_of,
    )
