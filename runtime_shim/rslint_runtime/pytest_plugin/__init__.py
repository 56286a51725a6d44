"""The pytest plugin: the fixture `rslint_ranks`, which runs a function on ranks and fails the test with what they
left behind.

pytest loads this through the entry point `rslint_ranks`; `-p no:rslint_ranks` turns it off. Nothing else is imported
until a test uses the fixture, torch not even then: only the ranks import it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import os

    from rslint_runtime.testing import Injection, RunResult

__all__ = ["Ranks", "UnexpectedOutcome"]

_TIMEOUT = "rslint_ranks_timeout"


class UnexpectedOutcome(AssertionError):
    """A run of ranks ended otherwise than the test expects."""


@dataclass(frozen=True)
class Ranks:
    """What the fixture `rslint_ranks` is: call it to run ranks. `runs` holds the results so far."""

    default_timeout: float
    runs: list[RunResult] = field(default_factory=list)

    def __call__(
        self,
        program: Callable[..., Any] | str | os.PathLike[str],
        world_size: int = 2,
        *,
        expect: str | Collection[str] | None = "completed",
        faults: Sequence[Injection] = (),
        args: Sequence[Any] = (),
        timeout: float | None = None,
        group_timeout: float = 600.0,
        init_group: bool = True,
        unfired_faults: bool = False,
    ) -> RunResult:
        """Call `program(rank, world_size, *args)` on ranks, see `rslint_runtime.testing.run_ranks`.

        Args:
            program: a function, a lambda or nested function too, or `"path/to/file.py:function"`.
            world_size: number of ranks, 1 to 128.
            expect: the outcome, or several, with which the test goes on; None for any.
            faults: what to raise where.
            args: picklable.
            timeout: seconds until the outcome is `timeout`; the option `rslint_ranks_timeout` if None.
            group_timeout: seconds, of the default group.
            init_group: False when `program` calls `torch.distributed.init_process_group` itself.
            unfired_faults: True when a fault may be on a function that is never called.

        Raises:
            UnexpectedOutcome: with another outcome, or when a fault never fired. The report and what the ranks
                wrote are shown as a section of the test's failure.
            RunError, TypeError, ValueError: as `run_ranks`.
        """
        __tracebackhide__ = True
        from rslint_runtime.testing import RunError, run_ranks
        from rslint_runtime.testing.records import expected_outcomes

        try:
            outcomes = expected_outcomes(expect)
            result = run_ranks(
                program,
                world_size,
                timeout=self.default_timeout if timeout is None else timeout,
                faults=faults,
                args=args,
                group_timeout=group_timeout,
                init_group=init_group,
            )
        except (RunError, TypeError, ValueError) as error:
            # Again from here, so that the test's own line is the last that is shown.
            raise error.with_traceback(None) from None
        self.runs.append(result)
        if result.outcome not in outcomes:
            raise UnexpectedOutcome(
                f"{result.outcome}, expected {' or '.join(outcomes)}{': ' if result.detail else ''}{result.detail}"
            )
        if result.unfired and not unfired_faults:
            unfired = "; ".join(result.faults[position] for position in result.unfired)
            raise UnexpectedOutcome(f"this never happened: {unfired} (unfired_faults=True accepts that)")
        return result

    def __repr__(self) -> str:
        # pytest prints it above every failure.
        return f"<rslint_ranks, {len(self.runs)} runs>"


_RUNS: pytest.StashKey[Ranks] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini(_TIMEOUT, "seconds after which a run of ranks has the outcome timeout", default="30")


@pytest.fixture
def rslint_ranks(request: pytest.FixtureRequest) -> Ranks:
    """Run a function on gloo ranks; the test fails with their report unless the run ends as expected."""
    setting = request.config.getini(_TIMEOUT)
    try:
        ranks = Ranks(float(setting))
    except ValueError:
        raise pytest.UsageError(f"{_TIMEOUT} = {setting}: a number of seconds is needed") from None
    request.node.stash[_RUNS] = ranks
    return ranks


@pytest.hookimpl(hookwrapper=True)  # the older form, which every pytest from 7.0 on knows
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    made = yield
    report: pytest.TestReport = made.get_result()
    ranks = item.stash.get(_RUNS, None)
    if ranks is not None and report.failed:
        for number, result in enumerate(ranks.runs, 1):
            report.sections.append((f"rslint_ranks, run {number}: {result.outcome}", result.report()))
