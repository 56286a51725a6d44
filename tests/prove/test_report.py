"""The table and the JSON of proofs: every case once, what is unproven with its reason, and the count."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rslint.proof.case import Case
from rslint.proof.demonstrate import Shown
from rslint.proof.fixing import Fixing
from rslint.proof.prove import Proof
from rslint.proof.report import as_json, table
from rslint.report.paint import Paint


def shown(found: str, *, fails: bool = False, stated: bool = True, detail: str = "") -> Shown:
    return Shown("run", "bug.py", "2 ranks", "deadlock", found, stated, 0.5, detail, fails)


def proof(
    name: str, verdict: str, bug: tuple[Shown, ...], fix: Fixing, fixed: tuple[Shown, ...] = ()
) -> Proof:
    case = Case(Path("/cases") / name, "RS101", "because", (2,), None, ())
    problem = "bug.py (2 ranks): expected deadlock, found completed" if verdict == "unproven" else ""
    return Proof(case, bug, fix, fixed, verdict, problem)  # type: ignore[arg-type]


PROOFS = [
    proof(
        "one",
        "proven",
        (shown("completed"), shown("deadlock", fails=True), shown("deadlock", fails=True)),
        Fixing("golden", "safe", b"", "--- bug.py\n"),
        (shown("completed"), shown("completed")),
    ),
    proof("two", "shown", (shown("mismatch", fails=True),), Fixing("none offered", "display", None, "")),
    proof(
        "three",
        "unproven",
        (shown("completed", fails=True, stated=False, detail="who waits for whom"),),
        Fixing("differs", "unsafe", b"", "--- fixed.py\n"),
        (shown("failed", stated=False),),
    ),
]


def test_a_row_for_each_case_the_reasons_and_the_count() -> None:
    assert table(PROOFS, Paint(), diffs=False) == (
        "code   case   bug          fix              fixed program  verdict\n"
        "RS101  one    deadlock ×2  safe             completed ×2   proven\n"
        "RS101  two    mismatch     shown only       –              shown\n"
        "RS101  three  completed    unsafe, differs  failed         unproven\n"
        "\n"
        "RS101 three: bug.py (2 ranks): expected deadlock, found completed\n"
        "--- fixed.py\n"
        "\n"
        "who waits for whom\n"
        "\n"
        "3 cases: 1 proven, 1 shown (no fix is offered), 1 unproven\n"
    )


@pytest.mark.parametrize(("diffs", "printed"), [(False, False), (True, True)])
def test_the_fixes_are_printed_when_they_are_asked_for(diffs: bool, printed: bool) -> None:
    assert ("RS101 one:\n--- bug.py\n" in table(PROOFS[:1], Paint(), diffs=diffs)) == printed


def test_only_the_head_and_what_is_unproven_is_painted() -> None:
    paint = Paint(strong=lambda text: f"<b>{text}</b>", error=lambda text: f"<r>{text}</r>")
    lines = table(PROOFS, paint, diffs=False).splitlines()
    assert [line[:3] for line in lines[:4]] == ["<b>", "RS1", "RS1", "<r>"]


def test_json_says_the_same() -> None:
    one, two, three = json.loads(as_json(PROOFS))
    assert (one["code"], one["case"], one["folder"], one["verdict"], one["problem"]) == (
        "RS101",
        "one",
        "/cases/one",
        "proven",
        None,
    )
    assert one["fix"] == {"state": "golden", "applicability": "safe", "diff": "--- bug.py\n"}
    assert [run["shows_failure"] for run in one["bug"]] == [False, True, True]
    assert two["fix"]["diff"] is None
    assert three["bug"][0]["detail"] == "who waits for whom"
    assert three["fixed"][0]["detail"] is None
    assert three["problem"] == PROOFS[2].problem
