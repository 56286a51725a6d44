"""The full format and its code frames; the registry's refusals."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rslint.finding import Confidence, Finding, Place, Related, Sequence, Severity, Step
from rslint.project.config import ConfigError
from rslint.project.source import Source, SourceFile
from rslint.registry import load_rules
from rslint.report.frame import frame
from rslint.report.full import format_full
from rslint.report.paint import Paint, paint_for
from tests.faces.support import write

TEXT = """\
def publish(rank, value):
    if rank == 0:
        value = client.fetch(
            "key",
        )
    dist.broadcast_object_list([value], src=0)
"""


def source(text: str) -> Source:
    return Source(SourceFile(Path("/p/a.py"), "a", False), text.encode(), text, "utf-8")


FINDING = Finding(
    code="RS101",
    name="collective-skipped-by-exception",
    severity=Severity.WARNING,
    confidence=Confidence.HIGH,
    message="client.fetch() may raise on rank 0",
    place=Place("/p/a.py", 3, 17, 5, 10),
    function="publish",
    noqa_rows=(3, 5),
    related=(Related(Place("/p/a.py", 6, 5, 6, 47), "the collective that is skipped"),),
    trace=(
        Step("leader", Place("/p/a.py", 3, 17, 5, 10), "fetch raises"),
        Step("others", Place("/p/a.py", 6, 5, 6, 47), "wait in broadcast_object_list"),
    ),
    sequences=(Sequence("ranks that raise here", ()), Sequence("the others", ("broadcast_object_list",))),
    suggestion="Catch the error, broadcast it, raise it on every rank.",
)


def test_the_full_format_tells_what_every_rank_does_and_why() -> None:
    text = format_full([FINDING], {Path("/p/a.py"): source(TEXT)}, Path("/p"), (), Paint())
    assert (
        text
        == """\
warning RS101 collective-skipped-by-exception: client.fetch() may raise on rank 0
  --> a.py:3:17 in publish
  1 | def publish(rank, value):
  2 |     if rank == 0:
  3 |         value = client.fetch(
    |                 ^^^^^^^^^^^^^
  4 |             "key",
    |             ^^^^^^
  5 |         )
    |         ^
  6 |     dist.broadcast_object_list([value], src=0)
  7 |
  what each rank executes from here:
    ranks that raise here: []
               the others: [broadcast_object_list]
  how it comes to that:
    1. leader: fetch raises (a.py:3:17)
    2. others: wait in broadcast_object_list (a.py:6:5)
        6 |     dist.broadcast_object_list([value], src=0)
          |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  also: the collective that is skipped (a.py:6:5)
  help: Catch the error, broadcast it, raise it on every rank.
  `rslint explain RS101` tells more

"""
    )


def test_carets_stand_under_wide_and_combining_characters_and_tabs() -> None:
    lines = list(frame(source("\tf('界', x)\n"), Place("/p/a.py", 1, 8, 1, 9), 0))
    assert lines == ["1 |     f('界', x)", "  |            ^"]


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "environment", "coloured"),
    [
        (io.StringIO(), {}, False),
        (_Terminal(), {"TERM": "xterm"}, True),
        (_Terminal(), {"TERM": "xterm", "NO_COLOR": "1"}, False),
        (_Terminal(), {"TERM": "dumb"}, False),
        (io.StringIO(), {"FORCE_COLOR": "1"}, True),
    ],
    ids=["pipe", "terminal", "NO_COLOR", "dumb", "FORCE_COLOR"],
)
def test_colour_only_where_it_is_seen(
    stream: io.StringIO, environment: dict[str, str], coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert (paint_for(stream).error("x") != "x") is coloured


@given(st.text(max_size=40), st.integers(1, 6), st.integers(1, 9), st.integers(0, 3), st.integers(1, 9))
def test_no_place_breaks_the_frame(text: str, row: int, column: int, rows: int, end_column: int) -> None:
    """A place beside the text (a file changed since, another tool's columns) draws something or nothing."""
    for line in frame(source(text), Place("/p/a.py", row, column, row + rows, end_column)):
        assert "\n" not in line


def _distribution(folder: Path, name: str, body: str) -> None:
    write(folder, {f"{name}.py": body, f"{name}-1.dist-info/METADATA": f"Name: {name}\nVersion: 1\n"})
    write(folder, {f"{name}-1.dist-info/entry_points.txt": f"[rslint.rules]\n{name} = {name}:offer\n"})


_RULE = "from rslint.rule import Rule\noffer = Rule('RS{0}', 'n{0}', '', '', None)\n"


def test_a_package_may_offer_a_single_rule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _distribution(tmp_path, "single_rule", _RULE.format(195))
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "RS195" in [rule.code for rule in load_rules()]


@pytest.mark.parametrize(
    ("bodies", "line"),
    [
        (
            {"one_of": _RULE.format(196), "two_of": _RULE.format(196)},
            "RS196: offered by one_of:offer and by two_of",
        ),
        ({"broken_rule": "import nothing_like_it\n"}, "broken_rule:offer cannot be loaded: No module named"),
        ({"empty_rule": "x = 1\n"}, "empty_rule:offer cannot be loaded: "),
        ({"odd_rule": "def offer(): return (1,)\n"}, "odd_rule:offer offers 1, which is no rslint.rule.Rule"),
    ],
    ids=["duplicate-code", "import-error", "no-such-name", "no-rule"],
)
def test_rule_packages_that_cannot_be_used(
    bodies: dict[str, str], line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, body in bodies.items():
        _distribution(tmp_path, name, body)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError, match=r"^[^\n]*$") as caught:
        load_rules()
    assert line in str(caught.value)
