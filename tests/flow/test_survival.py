"""What becomes of a process after an exception comes out of a function.

In `#|` lines stands the fate, and the rows of the steps that lead to the place that decides.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from rslint.flow.knowledge import Knowledge
from rslint.flow.survival import survival
from tests.flow.trees import assert_under, knowledge_of, known, written


def fate(k: Knowledge, identity: str) -> str:
    """After a ConnectionError."""
    found = survival(k, identity, "ConnectionError")
    return " ".join([found.fate, " -> ".join(str(step.site.row) for step in found.steps)]).strip()


def test_a_caller_with_a_broad_handler_swallows(tmp_path: Path) -> None:
    assert_under(
        tmp_path,
        """
        def flush(x):
            #| swallowed 9
            dist.all_reduce(x)

        def loop(x):
            try:
                flush(x)
            except Exception:
                x.log()
        """,
        fate,
    )


def test_the_nearest_caller_that_decides_is_at_the_end_of_the_steps(tmp_path: Path) -> None:
    assert_under(
        tmp_path,
        """
        def flush(x):
            #| swallowed 9 -> 13
            dist.all_reduce(x)

        def step(x):
            #| swallowed 13
            flush(x)

        def loop(x):
            try:
                step(x)
            except OSError:
                x.log()
        """,
        fate,
    )


def test_a_handler_of_another_type_or_one_that_raises_swallows_nothing(tmp_path: Path) -> None:
    assert_under(
        tmp_path,
        """
        def flush(x):
            #| unknown
            dist.all_reduce(x)

        def other(x):
            try:
                flush(x)
            except KeyError:
                return

        def again(x):
            try:
                flush(x)
            except Exception:
                x.log()
                raise

        def handler(x):
            try:
                x.run()
            except Exception:
                flush(x)
        """,
        fate,
    )


def test_an_exception_that_a_handler_raises_instead_goes_on_in_its_place(tmp_path: Path) -> None:
    assert_under(
        tmp_path,
        """
        class Failed(RuntimeError):
            pass

        def flush(x):
            #| swallowed 16 -> 22
            dist.all_reduce(x)

        def store(x):
            #| unknown
            dist.all_reduce(x)

        def step(x):
            try:
                flush(x)
            except ConnectionError as error:
                raise Failed from error

        def loop(x):
            try:
                step(x)
            except Failed:
                x.log()

        def kept(x):
            try:
                store(x)
            except Failed:
                x.log()
        """,
        fate,
    )


def test_suppress_swallows_its_types(tmp_path: Path) -> None:
    assert_under(
        tmp_path,
        """
        from contextlib import suppress

        def flush(x):
            #| swallowed 11
            dist.all_reduce(x)

        def quiet(x):
            with suppress(OSError):
                flush(x)

        def drain(x):
            #| unknown
            dist.all_reduce(x)

        def loud(x):
            with suppress(KeyError):
                drain(x)
        """,
        fate,
    )


def test_a_handler_that_ends_the_process_swallows_nothing(tmp_path: Path) -> None:
    assert_under(
        tmp_path,
        """
        import os

        def flush(x):
            #| dies 12
            dist.all_reduce(x)

        def loop(x):
            while True:
                try:
                    flush(x)
                except Exception:
                    os._exit(1)
        """,
        fate,
    )


def test_a_thread_or_a_task_ends_alone(tmp_path: Path) -> None:
    assert_under(
        tmp_path,
        """
        import threading

        def flush(x):
            #| thread 15
            dist.all_reduce(x)

        class Reporter:
            def report(self):
                #| thread 16
                dist.barrier()

            def start(self, x):
                threading.Thread(target=flush, args=(x,)).start()
                self.pool.submit(self.report)
        """,
        fate,
    )


def test_a_coroutine_that_becomes_a_task_ends_alone(tmp_path: Path) -> None:
    assert_under(
        tmp_path,
        """
        import asyncio

        async def pump(x):
            #| thread 10
            dist.all_reduce(x)

        async def start(x):
            asyncio.create_task(pump(x))
        """,
        fate,
    )


def test_the_main_function_of_a_process_dies_with_it(tmp_path: Path) -> None:
    assert_under(
        tmp_path,
        """
        import multiprocessing

        def flush(x):
            #| dies 11 -> 14
            dist.all_reduce(x)

        def serve(x):
            #| dies 14
            flush(x)

        def start(x):
            multiprocessing.Process(target=serve, args=(x,)).start()
        """,
        fate,
    )


@pytest.mark.parametrize(
    "started",
    [
        "multiprocessing.Process(target=flush)",
        "multiprocessing.get_context('spawn').Process(target=flush)",
        "context.Process(target=flush)",
        "torch.multiprocessing.get_context('spawn').Process(target=flush)",
        "torch.multiprocessing.spawn(flush, nprocs=2)",
        "pool.Process(target=flush)",
    ],
)
def test_the_ways_to_start_a_process(tmp_path: Path, started: str) -> None:
    k = known(
        tmp_path,
        f"""
        import multiprocessing
        import torch.multiprocessing

        def flush():
            dist.barrier()

        def start(pool):
            context = multiprocessing.get_context("spawn")
            {started}
        """,
    )
    assert fate(k, "m:flush") == "dies 11"


def test_a_function_called_main_is_the_main_function(tmp_path: Path) -> None:
    assert_under(
        tmp_path,
        """
        def flush(x):
            #| dies 9
            dist.all_reduce(x)

        def main(x):
            #| dies
            flush(x)
        """,
        fate,
    )


def test_a_dispatch_table_is_called_where_its_attribute_is(tmp_path: Path) -> None:
    assert_under(
        tmp_path,
        """
        class Server:
            def __init__(self):
                self.handlers = {"flush": self.flush}

            def flush(self):
                #| swallowed 13
                dist.barrier()

            def serve(self, request):
                try:
                    self.handlers(request)
                except Exception:
                    self.log(request)
        """,
        fate,
    )


def test_a_dispatch_table_is_asked_for_its_entry(tmp_path: Path) -> None:
    assert_under(
        tmp_path,
        """
        class Server:
            def __init__(self):
                self.handlers = {"flush": self.flush}

            def flush(self):
                #| swallowed 13
                dist.barrier()

            def serve(self, request):
                try:
                    self.handlers[request.kind](request)
                except Exception:
                    self.log(request)
        """,
        fate,
    )


def test_a_callback_is_swallowed_where_it_is_handed_over(tmp_path: Path) -> None:
    assert_under(
        tmp_path,
        """
        def flush():
            #| swallowed 9
            dist.barrier()

        def run(x):
            try:
                x.retry(flush)
            except Exception:
                x.log()
        """,
        fate,
    )


def test_one_caller_that_swallows_is_enough(tmp_path: Path) -> None:
    assert_under(
        tmp_path,
        """
        def flush(x):
            #| swallowed 13
            dist.all_reduce(x)

        def main(x):
            #| dies
            flush(x)

        def loop(x):
            try:
                flush(x)
            except Exception:
                x.log()
        """,
        fate,
    )


def test_nobody_calls_it(tmp_path: Path) -> None:
    assert_under(
        tmp_path,
        """
        def flush(x):
            #| unknown
            dist.all_reduce(x)

        def walk(x):
            #| unknown
            walk(x)
            dist.barrier()
        """,
        fate,
    )


@pytest.mark.parametrize(("exception", "expected"), [("KeyError", "swallowed"), ("OSError", "unknown")])
def test_the_fate_is_that_of_one_exception(tmp_path: Path, exception: str, expected: str) -> None:
    written(
        tmp_path,
        """
        def flush(x):
            dist.all_reduce(x)

        def loop(x):
            try:
                flush(x)
            except KeyError:
                return
        """,
    )
    k = knowledge_of(tmp_path)
    assert survival(k, "m:flush", exception).fate == expected
    assert survival(k, "m:flush", exception).lives == (expected == "swallowed")
