"""The lines after the findings: how many, how many can be fixed, and the counts of `--statistics`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from rslint.finding import Applicability, Finding
from rslint.report.concise import fixable


def summary(findings: Sequence[Finding], fixed: int, allowed: Collection[Applicability]) -> str:
    """As ruff's: "Found 3 errors (1 fixed, 2 remaining)." and the fixes to be had or hidden."""
    if not findings and not fixed:
        return "All checks passed!\n"
    total = len(findings) + fixed
    lines = [f"Found {_counted(total, 'error')}"]
    lines[0] += f" ({fixed} fixed, {len(findings)} remaining)." if fixed else "."
    ready = sum(fixable(finding, allowed) for finding in findings)
    hidden = sum(
        finding.fix is not None
        and finding.fix.applicability is Applicability.UNSAFE
        and not fixable(finding, allowed)
        for finding in findings
    )
    unsafe = f"{hidden} hidden unsafe {'fix' if hidden == 1 else 'fixes'}"
    if ready and hidden:
        lines.append(
            f"[*] {ready} fixable with the `--fix` option ({unsafe} can be enabled with `--unsafe-fixes`)."
        )
    elif ready:
        lines.append(f"[*] {ready} fixable with the `--fix` option.")
    elif hidden:
        lines.append(f"No fixes available ({unsafe} can be enabled with the `--unsafe-fixes` option).")
    return "\n".join(lines) + "\n"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def statistics(findings: Iterable[Finding], allowed: Collection[Applicability]) -> str:
    """One row per code, the most frequent first: count, code, `[*]` where a fix would apply, name."""
    listed = list(findings)
    counts = Counter((finding.code, finding.name) for finding in listed)
    ready = {finding.code for finding in listed if fixable(finding, allowed)}
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    width = max((len(str(count)) for count in counts.values()), default=0)
    return "".join(
        f"{count:>{width}}\t{code}\t[{'*' if code in ready else ' '}] {name}\n"
        for (code, name), count in ordered
    )
