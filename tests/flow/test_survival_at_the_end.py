"""Whether a process lives on after its main function has caught the exception, and whose callers count.

In `#|` lines stands the fate, and the rows of the steps that lead to the place that decides.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from rslint.flow.compare import suspects_of
from rslint.flow.knowledge import Knowledge
from rslint.flow.survival import survival
from tests.flow.trees import assert_under, known, written


def fate(k: Knowledge, identity: str) -> str:
    """After a ConnectionError."""
    found = survival(k, identity, "ConnectionError")
    return " ".join([found.fate, " -> ".join(str(step.site.row) for step in found.steps)]).strip()


STARTED = """
import logging
import multiprocessing
import os
import sys
import threading
import traceback

def flush(x):
    dist.all_reduce(x)

def served(x):
    while True:
        flush(x.get())

def start(x, y):
    multiprocessing.Process(target=entry, args=(x, y)).start()
"""


def fate_of_flush(folder: Path, *functions: str) -> str:
    program = STARTED + "".join(textwrap.dedent(function) for function in functions)
    return survival(known(folder, program), "m:flush", "ConnectionError").fate


def test_the_main_function_reports_the_exception_and_the_process_ends(tmp_path: Path) -> None:
    assert_under(
        tmp_path,
        """
        import multiprocessing
        import traceback

        def flush(x):
            #| dies 12
            dist.all_reduce(x)

        def serve(x):
            try:
                flush(x)
            except Exception:
                traceback.print_exc()

        def start(x):
            multiprocessing.get_context("spawn").Process(target=serve, args=(x,)).start()
        """,
        fate,
    )


def test_the_step_says_so(tmp_path: Path) -> None:
    k = known(
        tmp_path,
        """
        def flush(x):
            dist.all_reduce(x)

        def main(x):
            try:
                flush(x)
            except Exception as e:
                x.log(e)
        """,
    )
    (step,) = survival(k, "m:flush", "ConnectionError").steps
    assert step.text == "reports the exception and the process ends"
    assert (step.site.function, step.site.row) == ("m:main", 8)


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param(
            """
            def entry(x, y):
                try:
                    flush(x)
                except KeyboardInterrupt:
                    raise
                except Exception as e:
                    if y is not None:
                        logging.exception("failed")
                    y.send({"error": e})
                finally:
                    if y is not None:
                        y.close()
            """,
            id="an error message to the parent, a pipe closed in the end",
        ),
        pytest.param(
            """
            def entry(x, y):
                try:
                    flush(x)
                except Exception:
                    traceback.print_exc()
                logging.info("leaving")
                y.close()
                if dist.is_initialized():
                    dist.destroy_process_group()
            """,
            id="cleaning up after the try",
        ),
        pytest.param(
            """
            def entry(x, y):
                while True:
                    try:
                        flush(x)
                    except Exception:
                        traceback.print_exc()
                        break
                y.close()
            """,
            id="out of the loop by break",
        ),
        pytest.param(
            """
            def entry(x, y):
                for one in x:
                    try:
                        flush(one)
                    except Exception:
                        traceback.print_exc()
                        return
                served(x)
            """,
            id="out of the loop by return",
        ),
        pytest.param(
            """
            def entry(x, y):
                with x.profile():
                    try:
                        flush(x)
                    except Exception:
                        traceback.print_exc()
                        return
                    finally:
                        y.close()
                    served(x)
            """,
            id="returning past the work",
        ),
        pytest.param(
            """
            def entry(x, y):
                while True:
                    try:
                        flush(x)
                    except Exception:
                        traceback.print_exc()
                    finally:
                        os._exit(1)
            """,
            id="ending the process in any case",
        ),
        pytest.param(
            """
            class Shield:
                def entry(self, y):
                    try:
                        flush(self)
                    except Exception:
                        traceback.print_exc()

                def begin(self, y):
                    multiprocessing.Process(target=self.entry, args=(y,)).start()
            """,
            id="a method",
        ),
    ],
)
def test_nothing_but_reports_and_cleaning_up_follows(tmp_path: Path, entry: str) -> None:
    assert fate_of_flush(tmp_path, entry) == "dies"


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param(
            """
            def entry(x, y):
                while True:
                    try:
                        flush(x)
                    except Exception:
                        traceback.print_exc()
            """,
            id="a serving loop",
        ),
        pytest.param(
            """
            def entry(x, y):
                for one in x:
                    try:
                        flush(one)
                    except Exception:
                        traceback.print_exc()
                        continue
            """,
            id="a loop that goes on with the next",
        ),
        pytest.param(
            """
            def entry(x, y):
                while True:
                    for one in x:
                        try:
                            flush(one)
                        except Exception:
                            traceback.print_exc()
                            break
            """,
            id="a break out of the inner loop only",
        ),
        pytest.param(
            """
            def entry(x, y):
                try:
                    flush(x)
                except Exception:
                    traceback.print_exc()
                y.serve_forever()
            """,
            id="work after the try",
        ),
        pytest.param(
            """
            def entry(x, y):
                try:
                    flush(x)
                except Exception:
                    traceback.print_exc()
                finally:
                    while y.open():
                        y.pump()
            """,
            id="a loop in the finally",
        ),
        pytest.param(
            """
            def entry(x, y):
                try:
                    flush(x)
                except Exception:
                    flush(y)
            """,
            id="a collective in the handler",
        ),
        pytest.param(
            """
            def entry(x, y):
                try:
                    flush(x)
                except Exception:
                    return
                finally:
                    dist.barrier()
            """,
            id="a collective in the finally",
        ),
        pytest.param(
            """
            def entry(x, y):
                try:
                    try:
                        flush(x)
                    except Exception:
                        traceback.print_exc()
                    else:
                        y.close()
                except Exception:
                    return
                else:
                    y.compute()
            """,
            id="the else of the try around it",
        ),
        pytest.param(
            """
            def below(x):
                try:
                    flush(x)
                except Exception:
                    traceback.print_exc()

            def entry(x, y):
                while True:
                    below(x)
            """,
            id="a caller below the main function",
        ),
        pytest.param(
            """
            def entry(x, y):
                try:
                    flush(x)
                except Exception:
                    traceback.print_exc()

            def here(x, y):
                threading.Thread(target=entry, args=(x, y)).start()
            """,
            id="the main function of a thread too",
        ),
    ],
)
def test_the_process_goes_on(tmp_path: Path, entry: str) -> None:
    assert fate_of_flush(tmp_path, entry) == "swallowed"


def test_a_main_function_by_name_is_none_where_its_caller_goes_on(tmp_path: Path) -> None:
    assert_under(
        tmp_path,
        """
        def flush(x):
            #| swallowed 9
            dist.all_reduce(x)

        def run_worker(x):
            try:
                flush(x)
            except Exception as e:
                x.log(e)

        def serve(x):
            while True:
                run_worker(x)

        def drain(x):
            #| dies 23
            dist.all_reduce(x)

        def main(x):
            try:
                drain(x)
            except Exception as e:
                x.log(e)

        if __name__ == "__main__":
            main([])
        """,
        fate,
    )


def test_another_caller_that_swallows_is_still_found(tmp_path: Path) -> None:
    assert_under(
        tmp_path,
        """
        def flush(x):
            #| swallowed 16
            dist.all_reduce(x)

        def main(x):
            try:
                flush(x)
            except Exception as e:
                x.log(e)

        def serve(x):
            while True:
                try:
                    flush(x)
                except Exception as e:
                    x.log(e)
        """,
        fate,
    )


def test_a_main_function_that_catches_what_it_raises_itself(tmp_path: Path) -> None:
    k = known(
        tmp_path,
        """
        import requests

        def main(x, rank):
            try:
                if rank == 0:
                    requests.get(x)
                dist.barrier()
            except Exception as e:
                x.log(e)

        def serve(x, rank):
            try:
                if rank == 0:
                    requests.get(x)
                dist.barrier()
            except Exception as e:
                x.log(e)
        """,
    )
    fates = {}
    for function in ("m:main", "m:serve"):
        (suspect,) = [s for s in suspects_of(k, function) if s.kind == "exception"]
        assert suspect.survival is not None
        fates[function] = suspect.survival.fate
    assert fates == {"m:main": "dies", "m:serve": "swallowed"}


SWALLOWING = """
from work import flush

def drive(x):
    while True:
        try:
            flush(x)
        except Exception:
            x.log()
"""
FLUSH = """
def flush(x):
    dist.all_reduce(x)
"""


@pytest.mark.parametrize(
    "file",
    [
        "tests/drive.py",
        "test/drive.py",
        "test_drive.py",
        "drive_test.py",
        "conftest.py",
        "tests/deep/drive.py",
    ],
)
def test_a_test_that_swallows_says_nothing_about_production(tmp_path: Path, file: str) -> None:
    k = known(tmp_path, {"work.py": FLUSH, file: SWALLOWING})
    assert fate(k, "work:flush") == "unknown"


@pytest.mark.parametrize("file", ["serve.py", "testing.py", "latest.py", "contest.py"])
def test_a_caller_in_production_counts(tmp_path: Path, file: str) -> None:
    k = known(tmp_path, {"work.py": FLUSH, file: SWALLOWING})
    assert fate(k, "work:flush") == "swallowed 8"


def test_a_caller_in_production_is_preferred_to_a_nearer_one_in_a_test(tmp_path: Path) -> None:
    production = """
    from work import flush

    def step(x):
        flush(x)

    def serve(x):
        while True:
            try:
                step(x)
            except Exception:
                x.log()
    """
    k = known(tmp_path, {"work.py": FLUSH, "tests/test_work.py": SWALLOWING, "serve.py": production})
    assert fate(k, "work:flush") == "swallowed 6 -> 11"


def test_a_process_started_by_a_test_says_nothing_about_production(tmp_path: Path) -> None:
    production = """
    from work import flush

    def serve(x):
        try:
            flush(x)
        except Exception:
            x.log()
    """
    test = """
    import multiprocessing
    from serve import serve

    def test_serve(x):
        multiprocessing.Process(target=serve, args=(x,)).start()
    """
    k = known(tmp_path, {"work.py": FLUSH, "serve.py": production, "tests/test_serve.py": test})
    assert fate(k, "work:flush") == "swallowed 7"


def test_within_tests_the_callers_in_tests_count(tmp_path: Path) -> None:
    written(tmp_path, {})
    k = known(tmp_path, {"tests/work.py": FLUSH, "tests/drive.py": SWALLOWING.replace("work", "tests.work")})
    assert fate(k, "tests.work:flush") == "swallowed 8"
