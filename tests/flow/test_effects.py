"""The effect tree of a function, in `#|` lines under its `def`: what it may still do to process groups."""

from __future__ import annotations

import sys
from pathlib import Path

from rslint.flow.analysis import analyse, record_of
from rslint.project.index import build_index
from tests.flow.trees import assert_trees, project_of, written


def test_a_straight_line_is_a_list_of_collectives_with_the_axes_of_their_groups(tmp_path: Path) -> None:
    assert_trees(
        tmp_path,
        """
        def step(x, group, tp_group):
            #| all_reduce world
            #| broadcast ?
            #| all_gather tp
            #| barrier world
            #| return
            dist.all_reduce(x)
            x = x + 1
            dist.broadcast(x, 0, group)
            dist.all_gather([], x, group=tp_group)
            dist.barrier(group=None)
            return x
        """,
    )


def test_arms_that_do_the_same_are_no_choice_and_others_are(tmp_path: Path) -> None:
    assert_trees(
        tmp_path,
        """
        def same(x, fast):
            #| barrier world
            #| return
            if fast:
                x = x + 1
            else:
                x = x + 2
            dist.barrier()

        def other(x, fast):
            #| if fast:
            #|     broadcast world
            #|     barrier world
            #|     return
            #| else:
            #|     barrier world
            #|     return
            if fast:
                dist.broadcast(x, 0)
            dist.barrier()
        """,
    )


def test_an_early_return_is_an_arm_that_ends(tmp_path: Path) -> None:
    assert_trees(
        tmp_path,
        """
        def leave(x, empty):
            #| if empty:
            #|     return
            #| else:
            #|     all_reduce world
            #|     return
            if empty:
                return None
            dist.all_reduce(x)
            return x

        def refuse(x, empty):
            #| if empty:
            #|     raise
            #| else:
            #|     all_reduce world
            #|     return
            if empty:
                raise ValueError(x)
            dist.all_reduce(x)

        def check(x, good):
            #| if good:
            #|     all_reduce world
            #|     return
            #| else:
            #|     raise
            assert good
            dist.all_reduce(x)

        def gathered(x, empty):
            #| if empty:
            #|     return
            #| else:
            #|     all_gather_object world
            #|     return
            return None if empty else dist.all_gather_object([], x)
        """,
    )


def test_conditions_are_spelled_once(tmp_path: Path) -> None:
    """A negated test is the test with its arms swapped; a conjunction is a chain of its operands."""
    assert_trees(
        tmp_path,
        """
        def negated(x, a):
            #| if a:
            #|     return
            #| else:
            #|     barrier world
            #|     return
            if not a:
                dist.barrier()

        def unequal(x, a):
            #| if a == 0:
            #|     return
            #| else:
            #|     barrier world
            #|     return
            if a != 0:
                dist.barrier()

        def both(x, a, b):
            #| if a:
            #|     if b:
            #|         barrier world
            #|         return
            #|     else:
            #|         return
            #| else:
            #|     return
            if a and b:
                dist.barrier()

        def either(x, a, b):
            #| if a:
            #|     barrier world
            #|     return
            #| else:
            #|     if b:
            #|         return
            #|     else:
            #|         barrier world
            #|         return
            if a or not b:
                dist.barrier()

        def constant(x):
            #| barrier world
            #| return
            if True:
                dist.barrier()
            if 0:
                dist.all_reduce(x)

        def copied(x, config):
            #| if config.fast:
            #|     barrier world
            #|     return
            #| else:
            #|     return
            fast = config.fast
            if fast:
                dist.barrier()
        """,
    )


def test_operands_that_run_only_sometimes(tmp_path: Path) -> None:
    assert_trees(
        tmp_path,
        """
        def short(x, a):
            #| if a:
            #|     all_reduce world
            #|     barrier world
            #|     return
            #| else:
            #|     barrier world
            #|     return
            done = a and dist.all_reduce(x)
            dist.barrier()

        def otherwise(x, a):
            #| if a:
            #|     return
            #| else:
            #|     all_reduce world
            #|     return
            return a or dist.all_reduce(x)

        def first(x, a):
            #| all_reduce world
            #| return
            return dist.all_reduce(x) or a

        def chosen(x, a):
            #| if a:
            #|     all_reduce world
            #|     barrier world
            #|     return
            #| else:
            #|     broadcast world
            #|     barrier world
            #|     return
            (dist.all_reduce(x) if a else dist.broadcast(x, 0))
            dist.barrier()

        def tested(x, a):
            #| all_reduce world
            #| if agreed(x) > 0:
            #|     barrier world
            #|     return
            #| else:
            #|     return
            dist.all_reduce(x)
            if agreed(x) > 0:
                dist.barrier()
        """,
    )


def test_arguments_are_evaluated_before_their_call(tmp_path: Path) -> None:
    assert_trees(
        tmp_path,
        """
        def nested(x, wrap):
            #| broadcast world
            #| all_reduce world
            #| return
            wrap(dist.broadcast(x, 0), dist.all_reduce(x))
        """,
    )


def test_loops_hold_a_body_that_goes_back_or_leaves(tmp_path: Path) -> None:
    assert_trees(
        tmp_path,
        """
        def each(items):
            #| loop 1:
            #|     all_reduce world
            #|     again 1
            #| barrier world
            #| return
            for item in items:
                dist.all_reduce(item)
            dist.barrier()

        def some(items):
            #| loop 1:
            #|     if item.skip:
            #|         again 1
            #|     else:
            #|         if item.last:
            #|             leave 1
            #|         else:
            #|             all_reduce world
            #|             again 1
            #| return
            for item in items:
                if item.skip:
                    continue
                if item.last:
                    break
                dist.all_reduce(item)

        def until(x, more):
            #| loop 1:
            #|     if more:
            #|         all_reduce world
            #|         again 1
            #|     else:
            #|         leave 1
            #| return
            while more:
                dist.all_reduce(x)

        def forever(x):
            #| loop 1:
            #|     all_reduce world
            #|     if x:
            #|         return
            #|     else:
            #|         again 1
            #| return
            while True:
                dist.all_reduce(x)
                if x:
                    return

        def returning(items):
            #| loop 1:
            #|     all_reduce world
            #|     if item:
            #|         return
            #|     else:
            #|         again 1
            #| barrier world
            #| return
            for item in items:
                dist.all_reduce(item)
                if item:
                    return
            dist.barrier()

        def inner(rows):
            #| loop 1:
            #|     loop 2:
            #|         all_reduce world
            #|         again 2
            #|     again 1
            #| return
            for row in rows:
                for item in row:
                    dist.all_reduce(item)

        def comprehended(items):
            #| loop 1:
            #|     call reduced:
            #|         all_reduce world
            #|         return
            #|     again 1
            #| barrier world
            #| return
            done = [reduced(item) for item in items]
            dist.barrier()

        def reduced(x):
            dist.all_reduce(x)
            return x
        """,
    )


def test_the_filter_of_a_comprehension_is_a_choice(tmp_path: Path) -> None:
    assert_trees(
        tmp_path,
        """
        def filtered(items):
            #| loop 1:
            #|     if item.ready:
            #|         all_reduce world
            #|         again 1
            #|     else:
            #|         again 1
            #| return
            return [dist.all_reduce(item) for item in items if item.ready]
        """,
    )


def test_a_loop_that_does_nothing_to_groups_is_a_choice_only_if_it_may_leave(tmp_path: Path) -> None:
    assert_trees(
        tmp_path,
        """
        def counted(items):
            #| barrier world
            #| return
            total = 0
            for item in items:
                total += item
            dist.barrier()

        def found(items):
            #| if items of items:
            #|     if item.good:
            #|         return
            #|     else:
            #|         barrier world
            #|         return
            #| else:
            #|     barrier world
            #|     return
            for item in items:
                if item.good:
                    return item
            dist.barrier()
        """,
    )


def test_the_else_of_a_loop_is_skipped_by_break(tmp_path: Path) -> None:
    assert_trees(
        tmp_path,
        """
        def search(items):
            #| loop 1:
            #|     all_reduce world
            #|     if item:
            #|         broadcast world
            #|         return
            #|     else:
            #|         again 1
            #| barrier world
            #| broadcast world
            #| return
            for item in items:
                dist.all_reduce(item)
                if item:
                    break
            else:
                dist.barrier()
            dist.broadcast(items, 0)
        """,
    )


def test_what_follows_a_raise_is_its_handler_and_every_finally_on_the_way(tmp_path: Path) -> None:
    assert_trees(
        tmp_path,
        """
        def handled(x, bad):
            #| if bad:
            #|     broadcast world
            #|     barrier world
            #|     return
            #| else:
            #|     all_reduce world
            #|     barrier world
            #|     return
            try:
                if bad:
                    raise ValueError
                dist.all_reduce(x)
            except ValueError:
                dist.broadcast(x, 0)
            dist.barrier()

        def another(x, bad):
            #| if bad:
            #|     raise
            #| else:
            #|     barrier world
            #|     return
            try:
                if bad:
                    raise KeyError
            except ValueError:
                dist.broadcast(x, 0)
            dist.barrier()

        def parent(x, bad):
            #| if bad:
            #|     broadcast world
            #|     return
            #| else:
            #|     return
            try:
                if bad:
                    raise KeyError
            except LookupError:
                dist.broadcast(x, 0)

        def again(x, bad):
            #| if bad:
            #|     broadcast world
            #|     raise
            #| else:
            #|     barrier world
            #|     return
            try:
                if bad:
                    raise ValueError
            except ValueError:
                dist.broadcast(x, 0)
                raise
            dist.barrier()

        def passed_on(x, bad):
            #| if bad:
            #|     all_reduce world
            #|     return
            #| else:
            #|     return
            try:
                try:
                    if bad:
                        raise KeyError
                except KeyError:
                    raise
            except KeyError:
                dist.all_reduce(x)

        def finished(x, bad, early):
            #| if bad:
            #|     barrier world
            #|     raise
            #| else:
            #|     if early:
            #|         barrier world
            #|         return
            #|     else:
            #|         all_reduce world
            #|         barrier world
            #|         broadcast world
            #|         return
            try:
                if bad:
                    raise ValueError
                if early:
                    return
                dist.all_reduce(x)
            finally:
                dist.barrier()
            dist.broadcast(x, 0)

        def otherwise(x, bad):
            #| if bad:
            #|     broadcast world
            #|     return
            #| else:
            #|     all_reduce world
            #|     broadcast world
            #|     return
            try:
                if bad:
                    raise ValueError
            except ValueError:
                pass
            else:
                dist.all_reduce(x)
            finally:
                dist.broadcast(x, 0)

        def from_loop(items):
            #| loop 1:
            #|     if item:
            #|         barrier world
            #|         leave 1
            #|     else:
            #|         all_reduce world
            #|         barrier world
            #|         again 1
            #| return
            for item in items:
                try:
                    if item:
                        break
                    dist.all_reduce(item)
                finally:
                    dist.barrier()
        """,
    )


def test_a_finally_that_returns_stops_the_exception(tmp_path: Path) -> None:
    assert_trees(
        tmp_path,
        """
        def silenced(x, bad):
            #| if bad:
            #|     barrier world
            #|     return
            #| else:
            #|     all_reduce world
            #|     barrier world
            #|     return
            try:
                if bad:
                    raise ValueError
                dist.all_reduce(x)
            finally:
                dist.barrier()
                return x
        """,
    )


def test_an_exception_in_an_else_clause_passes_the_handlers_by(tmp_path: Path) -> None:
    assert_trees(
        tmp_path,
        """
        def after(x, bad):
            #| if bad:
            #|     raise
            #| else:
            #|     return
            try:
                pass
            except ValueError:
                dist.barrier()
            else:
                if bad:
                    raise ValueError
        """,
    )


def test_suppress_goes_on_behind_the_with(tmp_path: Path) -> None:
    assert_trees(
        tmp_path,
        """
        import contextlib

        def suppressed(x, bad):
            #| if bad:
            #|     barrier world
            #|     return
            #| else:
            #|     all_reduce world
            #|     barrier world
            #|     return
            with contextlib.suppress(ValueError):
                if bad:
                    raise ValueError
                dist.all_reduce(x)
            dist.barrier()

        def other_type(x, bad):
            #| if bad:
            #|     raise
            #| else:
            #|     barrier world
            #|     return
            with contextlib.suppress(ValueError):
                if bad:
                    raise KeyError
            dist.barrier()

        def lock(x, bad, mutex):
            #| if bad:
            #|     raise
            #| else:
            #|     barrier world
            #|     return
            with mutex:
                if bad:
                    raise KeyError
            dist.barrier()
        """,
    )


def test_a_context_manager_is_a_generator_with_the_body_in_place_of_its_yield(tmp_path: Path) -> None:
    assert_trees(
        tmp_path,
        """
        from contextlib import contextmanager

        @contextmanager
        def together(x):
            #| broadcast world
            #| yield, if it raises:
            #|     raise
            #| barrier world
            #| return
            dist.broadcast(x, 0)
            yield x
            dist.barrier()

        @contextmanager
        def always(x):
            #| yield, if it raises:
            #|     barrier world
            #|     raise
            #| barrier world
            #| return
            try:
                yield
            finally:
                dist.barrier()

        def inside(x, bad):
            #| broadcast world
            #| if bad:
            #|     raise
            #| else:
            #|     all_reduce world
            #|     barrier world
            #|     return
            with together(x):
                if bad:
                    raise ValueError
                dist.all_reduce(x)

        def protected(x, bad, early):
            #| if bad:
            #|     barrier world
            #|     raise
            #| else:
            #|     if early:
            #|         barrier world
            #|         return
            #|     else:
            #|         barrier world
            #|         all_reduce world
            #|         return
            with always(x):
                if bad:
                    raise ValueError
                if early:
                    return
            dist.all_reduce(x)
        """,
    )


def test_a_context_manager_that_catches_swallows(tmp_path: Path) -> None:
    assert_trees(
        tmp_path,
        """
        from contextlib import contextmanager

        @contextmanager
        def ignoring():
            try:
                yield
            except ValueError:
                pass
            dist.barrier()

        def run(x, bad):
            #| barrier world
            #| all_reduce world
            #| return
            with ignoring():
                if bad:
                    raise ValueError
            dist.all_reduce(x)
        """,
    )


def test_a_class_is_a_context_by_its_two_methods(tmp_path: Path) -> None:
    assert_trees(
        tmp_path,
        """
        class Fence:
            def __enter__(self):
                #| barrier world
                #| return
                dist.barrier()
                return self

            def __exit__(self, *error):
                #| broadcast world
                #| return
                dist.broadcast(self, 0)

        def fenced(x, bad):
            #| call Fence():
            #|     barrier world
            #|     return
            #| if bad:
            #|     call Fence():
            #|         broadcast world
            #|         return
            #|     raise
            #| else:
            #|     all_reduce world
            #|     call Fence():
            #|         broadcast world
            #|         return
            #|     return
            with Fence():
                if bad:
                    raise ValueError
                dist.all_reduce(x)
        """,
    )


def test_two_contexts_nest_in_order(tmp_path: Path) -> None:
    assert_trees(
        tmp_path,
        """
        from contextlib import contextmanager

        @contextmanager
        def outer():
            dist.broadcast(1, 0)
            yield
            dist.all_reduce(1)

        @contextmanager
        def inner():
            dist.barrier()
            yield
            dist.all_gather([], 1)

        def nested(x):
            #| broadcast world
            #| barrier world
            #| reduce world
            #| all_gather world
            #| all_reduce world
            #| return
            with outer(), inner():
                dist.reduce(x, 0)
        """,
    )


def test_a_match_is_a_chain_of_cases(tmp_path: Path) -> None:
    assert_trees(
        tmp_path,
        """
        def matched(x, kind, good):
            #| if kind matches case 0 at 19:
            #|     all_reduce world
            #|     return
            #| else:
            #|     if kind matches case 1 at 21:
            #|         if good:
            #|             broadcast world
            #|             return
            #|         else:
            #|             barrier world
            #|             return
            #|     else:
            #|         barrier world
            #|         return
            match kind:
                case "sum":
                    dist.all_reduce(x)
                case "copy" if good:
                    dist.broadcast(x, 0)
                case _:
                    dist.barrier()
        """,
    )


def test_a_call_holds_the_tree_of_its_callee(tmp_path: Path) -> None:
    assert_trees(
        tmp_path,
        """
        def helper(x, bad):
            if bad:
                raise ValueError
            dist.barrier()

        def outer(x, y):
            #| call helper:
            #|     if bad:
            #|         raise
            #|     else:
            #|         barrier world
            #|         return
            #| all_reduce world
            #| return
            helper(x, y)
            dist.all_reduce(x)

        def silent(x):
            #| all_reduce world
            #| return
            nothing(x)
            dist.all_reduce(x)

        def nothing(x):
            #| return
            return x + 1
        """,
    )


def test_a_method_with_several_implementations_is_a_uniform_choice(tmp_path: Path) -> None:
    assert_trees(
        tmp_path,
        """
        class Base:
            def send(self, x):
                dist.all_reduce(x)

        class Quiet(Base):
            def send(self, x):
                return x

        class Loud(Base):
            def send(self, x):
                dist.broadcast(x, 0)

        def run(link: Base, x):
            #| if 32:4 calls m:Base.send:
            #|     call Base.send:
            #|         all_reduce world
            #|         return
            #|     barrier world
            #|     return
            #| else:
            #|     if 32:4 calls m:Loud.send:
            #|         call Loud.send:
            #|             broadcast world
            #|             return
            #|         barrier world
            #|         return
            #|     else:
            #|         barrier world
            #|         return
            link.send(x)
            dist.barrier()
        """,
    )


def test_constant_arguments_choose_the_arm_of_the_callee(tmp_path: Path) -> None:
    assert_trees(
        tmp_path,
        """
        def save(x, sync=False, *, wait=None):
            if sync:
                dist.barrier()
            if wait is not None:
                dist.all_reduce(x)

        def given(x):
            #| call save:
            #|     barrier world
            #|     if wait is None:
            #|         return
            #|     else:
            #|         all_reduce world
            #|         return
            #| return
            save(x, True, wait=x)

        def defaulted(x):
            #| call save:
            #|     if wait is None:
            #|         return
            #|     else:
            #|         all_reduce world
            #|         return
            #| return
            save(x)

        def forwarded(x, sync, options):
            #| call save:
            #|     if sync:
            #|         barrier world
            #|         if wait is None:
            #|             return
            #|         else:
            #|             all_reduce world
            #|             return
            #|     else:
            #|         if wait is None:
            #|             return
            #|         else:
            #|             all_reduce world
            #|             return
            #| return
            save(x, **options)

        class Saver:
            def save(self, x, sync=False):
                if sync:
                    dist.barrier()

            def quick(self, x):
                #| return
                self.save(x)

            def slow(self, x):
                #| call Saver.save:
                #|     barrier world
                #|     return
                #| return
                self.save(x, sync=True)
        """,
    )


def test_a_guard_that_asks_for_several_ranks_holds(tmp_path: Path) -> None:
    assert_trees(
        tmp_path,
        """
        class Worker:
            def reduce(self, x):
                #| all_reduce world
                #| return
                if self.world_size == 1:
                    return x
                dist.all_reduce(x)

            def gather(self, x):
                #| all_gather world
                #| return
                if dist.is_initialized() and self.tp_size > 1:
                    dist.all_gather([], x)

            def several(self, x, size):
                #| if size > 1:
                #|     barrier world
                #|     return
                #| else:
                #|     return
                if size > 1:
                    dist.barrier()
        """,
    )


def test_recursion_is_unrolled_once(tmp_path: Path) -> None:
    assert_trees(
        tmp_path,
        """
        def walk(tree, deep):
            #| if deep:
            #|     call walk:
            #|         barrier world
            #|         return
            #|     barrier world
            #|     return
            #| else:
            #|     barrier world
            #|     return
            if deep:
                walk(tree.left, tree.deep)
            dist.barrier()
        """,
    )


def test_an_awaited_coroutine_is_a_call(tmp_path: Path) -> None:
    assert_trees(
        tmp_path,
        """
        async def helper(x):
            dist.barrier()

        async def outer(x):
            #| call helper:
            #|     barrier world
            #|     return
            #| all_reduce world
            #| return
            await helper(x)
            dist.all_reduce(x)
        """,
    )


def test_what_is_only_defined_does_not_run(tmp_path: Path) -> None:
    assert_trees(
        tmp_path,
        """
        def outer(x):
            #| all_reduce world
            #| return
            def later():
                #| barrier world
                #| return
                dist.barrier()
            callback = lambda: dist.broadcast(x, 0)
            dist.all_reduce(x)
            return later, callback
        """,
    )


def test_a_context_manager_that_raises_before_its_yield_is_caught_around_the_with(tmp_path: Path) -> None:
    assert_trees(
        tmp_path,
        """
        from contextlib import contextmanager

        @contextmanager
        def guard(bad):
            dist.barrier()
            if bad:
                raise ValueError
            yield

        def run(x):
            #| barrier world
            #| if bad:
            #|     broadcast world
            #|     return
            #| else:
            #|     all_reduce world
            #|     return
            try:
                with guard(x):
                    dist.all_reduce(x)
            except ValueError:
                dist.broadcast(x, 0)
        """,
    )


def test_what_a_context_manager_raises_before_its_yield_passes_what_does_not_stop_it(tmp_path: Path) -> None:
    """Without a handler it leaves the function; a handler inside the with is not there yet."""
    assert_trees(
        tmp_path,
        """
        from contextlib import contextmanager

        @contextmanager
        def guard(bad):
            if bad:
                raise ValueError
            yield
            dist.barrier()

        def bare(x):
            #| if bad:
            #|     raise
            #| else:
            #|     all_reduce world
            #|     barrier world
            #|     return
            with guard(x):
                dist.all_reduce(x)

        def inside(x):
            #| if bad:
            #|     raise
            #| else:
            #|     barrier world
            #|     return
            with guard(x):
                try:
                    prepare(x)
                except ValueError:
                    dist.broadcast(x, 0)

        def outer(x):
            #| if bad:
            #|     raise
            #| else:
            #|     all_reduce world
            #|     barrier world
            #|     return
            try:
                with guard(x):
                    dist.all_reduce(x)
            except KeyboardInterrupt:
                dist.broadcast(x, 0)
        """,
    )


def test_a_context_manager_that_raises_before_its_yield_is_swallowed_around_the_with(tmp_path: Path) -> None:
    assert_trees(
        tmp_path,
        """
        from contextlib import contextmanager, suppress

        @contextmanager
        def guard(bad):
            if bad:
                dist.broadcast(bad, 0)
                raise ValueError
            yield

        def run(x):
            #| if bad:
            #|     broadcast world
            #|     barrier world
            #|     return
            #| else:
            #|     all_reduce world
            #|     barrier world
            #|     return
            with suppress(ValueError):
                with guard(x):
                    dist.all_reduce(x)
            dist.barrier()

        def entered_after(x):
            #| if bad:
            #|     broadcast world
            #|     barrier world
            #|     return
            #| else:
            #|     all_reduce world
            #|     barrier world
            #|     return
            with suppress(ValueError), guard(x):
                dist.all_reduce(x)
            dist.barrier()
        """,
    )


def test_a_generator_that_ends_before_its_yield_makes_the_with_raise(tmp_path: Path) -> None:
    """contextlib raises "RuntimeError: generator didn't yield"; the body is not run."""
    assert_trees(
        tmp_path,
        """
        from contextlib import contextmanager

        @contextmanager
        def guard(skip):
            dist.barrier()
            if skip:
                return
            yield

        def run(x):
            #| barrier world
            #| if skip:
            #|     broadcast world
            #|     return
            #| else:
            #|     all_reduce world
            #|     return
            try:
                with guard(x):
                    dist.all_reduce(x)
            except KeyError:
                dist.reduce(x, 0)
            except RuntimeError:
                dist.broadcast(x, 0)
        """,
    )


def test_a_function_longer_than_the_recursion_limit(tmp_path: Path) -> None:
    """Generated code: more steps in a row than calls may be nested."""
    rows = 1200
    assert sys.getrecursionlimit() < rows
    steps = "".join(f"    if flags[{row}]:\n        dist.barrier()\n" for row in range(rows))
    source = f"def steps(flags):\n    if dist.get_rank() == 0:\n        return\n{steps}"
    written(tmp_path, source)
    project = project_of(tmp_path)
    analysis = analyse(project, build_index(project, 1), 1)
    assert [suspect.kind for suspect in analysis.suspects] == ["exit"]
    assert len(analysis.knowledge.walks["m:steps"].forks) == rows + 1
    effect = record_of(analysis, "m:steps").effect
    assert sum(node[0] == "collective" for node in effect) == rows


def test_exceptions_of_the_project_are_known_by_their_bases(tmp_path: Path) -> None:
    assert_trees(
        tmp_path,
        """
        class Lost(ConnectionError):
            pass

        def caught(x, bad):
            #| if bad:
            #|     broadcast world
            #|     return
            #| else:
            #|     return
            try:
                if bad:
                    raise Lost(x)
            except OSError:
                dist.broadcast(x, 0)

        def passed(x, bad):
            #| if bad:
            #|     raise
            #| else:
            #|     return
            try:
                if bad:
                    raise Lost(x)
            except ValueError:
                dist.broadcast(x, 0)
        """,
    )


def test_a_handler_of_a_class_of_the_project_stops_that_class_alone(tmp_path: Path) -> None:
    assert_trees(
        tmp_path,
        """
        class Lost(ConnectionError):
            pass

        def narrower(x, bad):
            #| if bad:
            #|     raise
            #| else:
            #|     return
            try:
                if bad:
                    raise ConnectionError(x)
            except Lost:
                dist.broadcast(x, 0)

        def first_that_fits(x, bad):
            #| if bad:
            #|     all_reduce world
            #|     return
            #| else:
            #|     return
            try:
                if bad:
                    raise OSError(x)
            except Lost:
                dist.broadcast(x, 0)
            except OSError:
                dist.all_reduce(x)

        def kept_in_a_name(x, bad):
            #| if bad:
            #|     broadcast world
            #|     return
            #| else:
            #|     return
            error = Lost(x)
            try:
                if bad:
                    raise error
            except ValueError:
                dist.all_reduce(x)
            except Lost:
                dist.broadcast(x, 0)
        """,
    )


def test_a_handler_that_raises_its_own_exception_passes_it_on(tmp_path: Path) -> None:
    assert_trees(
        tmp_path,
        """
        def named(x, bad):
            #| if bad:
            #|     all_reduce world
            #|     return
            #| else:
            #|     return
            try:
                try:
                    if bad:
                        raise KeyError
                except KeyError as error:
                    raise error
            except ValueError:
                dist.broadcast(x, 0)
            except KeyError:
                dist.all_reduce(x)
        """,
    )


def test_a_condition_that_is_changed_in_between_is_another_condition(tmp_path: Path) -> None:
    assert_trees(
        tmp_path,
        """
        def told(x, sync=False):
            if sync:
                dist.barrier()

        def changed(x, sync=False):
            sync = sync or x.stale
            if sync:
                dist.barrier()

        def call_told(x):
            #| return
            told(x)

        def call_changed(x):
            #| call changed:
            #|     if sync:
            #|         barrier world
            #|         return
            #|     else:
            #|         return
            #| return
            changed(x)
        """,
    )


def test_the_collective_of_a_guard_runs_when_its_block_is_left(tmp_path: Path) -> None:
    """Whatever the block did, all ranks meet at its end, and then all of them raise or none does."""
    assert_trees(
        tmp_path,
        """
        from rslint_runtime import rank_guard

        def guarded(x, group, bad):
            #| if bad:
            #|     rank_guard ?
            #|     barrier world
            #|     return
            #| else:
            #|     all_reduce world
            #|     rank_guard ?
            #|     barrier world
            #|     return
            with rank_guard(group):
                if bad:
                    raise ValueError
                dist.all_reduce(x)
            dist.barrier()

        def returned(x, group):
            #| rank_guard ?
            #| return
            with rank_guard(group):
                return x
        """,
    )


def test_a_context_of_a_library_may_skip_its_collective_when_its_block_raises(tmp_path: Path) -> None:
    assert_trees(
        tmp_path,
        """
        import deepspeed

        def first(accelerator, bad):
            #| if bad:
            #|     raise
            #| else:
            #|     main_process_first world
            #|     return
            with accelerator.main_process_first():
                if bad:
                    raise ValueError

        def gathered(weights, bad):
            #| if bad:
            #|     GatheredParameters world
            #|     raise
            #| else:
            #|     GatheredParameters world
            #|     return
            with deepspeed.zero.GatheredParameters(weights):
                if bad:
                    raise ValueError
        """,
    )
