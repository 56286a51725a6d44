"""The harness from the command line: `python -m rslint_runtime.testing sweep path/to/file.py:function 2`.

Exit status: 0 when every call was tried and none parted the ranks, 1 when one did, 2 for wrong use or a program that
does not complete by itself, 3 when nothing was found but not everything was tried.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from rslint_runtime.testing.runner import RunError
from rslint_runtime.testing.sweeping import sweep


def main(arguments: Sequence[str] | None = None) -> int:
    """Sweep what the arguments name and print the report; returns the exit status."""
    given = _parser().parse_args(arguments)
    try:
        result = sweep(
            given.program,
            given.world_size,
            timeout=given.timeout,
            group_timeout=given.group_timeout,
            init_group=given.init_group,
            time_limit=given.time_limit,
            occurrences=given.occurrences,
            within=given.within,
            state=given.state,
        )
    except (RunError, TypeError, ValueError, OSError) as error:
        print(f"sweep: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("sweep: ended by Ctrl-C before the run without a fault was over", file=sys.stderr)
        return 3
    print(result.report())
    if result.parted:
        return 1
    return 3 if result.untried else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m rslint_runtime.testing")
    commands = parser.add_subparsers(dest="command", required=True)
    sweeping = commands.add_parser(
        "sweep",
        help="makes one call at a time fail",
        description="Makes one call of a program fail at a time, and tells which failure parts the ranks.",
        epilog="exit status: 0 nothing found, 1 found, 2 wrong use, 3 nothing found but not everything tried",
    )
    sweeping.add_argument("program", help='"path/to/file.py:function"; it is called with rank and world_size')
    sweeping.add_argument("world_size", type=int, help="number of ranks")
    sweeping.add_argument(
        "--timeout", type=float, default=30.0, metavar="S", help="seconds for each run (30)"
    )
    sweeping.add_argument(
        "--group-timeout",
        type=float,
        default=600.0,
        metavar="S",
        help="seconds of the default group that ranks have joined (600)",
    )
    sweeping.add_argument(
        "--no-init-group",
        dest="init_group",
        action="store_false",
        help="the program calls torch.distributed.init_process_group itself",
    )
    sweeping.add_argument(
        "--time-limit", type=float, metavar="S", help="seconds after which no further run begins"
    )
    sweeping.add_argument(
        "--occurrences",
        type=int,
        default=1,
        metavar="N",
        help="how many calls of one place are made to fail (1)",
    )
    sweeping.add_argument(
        "--within", action="append", default=[], metavar="PATH", help="files or folders whose calls are tried"
    )
    sweeping.add_argument(
        "--state", metavar="FILE", help="keeps what was found; the next sweep goes on from there"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
