"""A user's own cases: what is proven without a golden file, and how it is told why something is not proven."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import pytest

from rslint import cli
from rslint.proof.case import FIXED, read_case
from rslint.proof.prove import after_the_fix, copied

PROGRAM = '''\
"""Looks keys up."""

import urllib.request

import torch.distributed as dist


class Client:
    def get(self, key):
        if key:
            return {"key": key}
        return urllib.request.urlopen("http://127.0.0.1:1/").read()


def look_up(rank, client, key):
    objects = [None]
    if rank == 0:
        objects[0] = client.get(key)
    dist.broadcast_object_list(objects, src=0)
    return objects[0]


def main(rank, world_size):
    try:
        return look_up(rank, Client(), "a")
    except Exception:
        return None
'''
FAULT = '{rank = 0, target = "Client.get", raises = "ConnectionError"}'
HANGS = f'[[run]]\nfile = "bug.py"\nfaults = [{FAULT}]\noutcome = "deadlock"\n'


def write_case(folder: Path, name: str, toml: str, **files: str) -> Path:
    case = folder / name
    case.mkdir(parents=True)
    (case / "bug.py").write_text(PROGRAM, encoding="utf-8")
    (case / "case.toml").write_text(toml, encoding="utf-8")
    for file, text in files.items():
        (case / f"{file}.py").write_text(text, encoding="utf-8")
    return case


CASES = {
    "without-golden-file": (f'code = "RS101"\n{HANGS}', {}),
    "other-golden-file": (f'code = "RS101"\n{HANGS}', {"fixed": PROGRAM}),
    "does-not-hang": (f'code = "RS101"\n{HANGS.replace(f"faults = [{FAULT}]", "")}', {}),
    "fault-that-never-fires": (
        'code = "RS101"\n[[run]]\nfile = "bug.py"\noutcome = "completed"\n'
        f"faults = [{FAULT.replace('}', ', nth = 7}')}]\n{HANGS}",
        {},
    ),
    "shows-nothing": ('code = "RS101"\n[[run]]\nfile = "bug.py"\noutcome = "completed"\n', {}),
    "of-another-rule": (f'code = "RS102"\n{HANGS}', {}),
    "offers-more": (f'code = "RS101"\n[fix]\napplicability = "unsafe"\n{HANGS}', {}),
    "no-such-function": (
        'code = "RS101"\n[[run]]\nfile = "bug.py"\noutcome = "deadlock"\nentry = "other.py:start"\n',
        {"other": "x = 1\n"},
    ),
    "fix-that-does-not-help": (
        f'code = "RS101"\n{HANGS}\n[[run]]\nfile = "fixed.py"\nentry = "other.py:main"\noutcome = "completed"\n',
        {"other": "def main(rank, world_size, program):\n    raise ValueError(program)\n"},
    ),
}


def prove(*arguments: str | Path) -> tuple[int, str, str]:
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        status = cli.main(["prove", "--jobs", "1", *map(str, arguments)])
    return status, output.getvalue(), errors.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cases")
    for name, (toml, files) in CASES.items():
        write_case(folder, name, toml, **files)
    return folder


@pytest.fixture(scope="module")
def proofs(folder: Path) -> dict[str, dict[str, Any]]:
    status, output, _ = prove("--output-format", "json", folder)
    assert status == 1
    found: list[dict[str, Any]] = json.loads(output)
    assert [proof["case"] for proof in found] == sorted(CASES)
    return {proof["case"]: proof for proof in found}


def test_without_a_golden_file_the_fix_is_shown_and_run(proofs: dict[str, dict[str, Any]]) -> None:
    proof = proofs["without-golden-file"]
    assert (proof["verdict"], proof["problem"]) == ("proven", None)
    assert proof["fix"]["state"] == "no golden file"
    assert proof["fix"]["applicability"] == "safe"
    assert (
        "+            objects[0] = client.get(key)\n+        except Exception as error:\n"
        in proof["fix"]["diff"]
    )
    (bug,), (fixed,) = proof["bug"], proof["fixed"]
    assert (bug["expected"], bug["found"], bug["as_stated"]) == ("deadlock", "deadlock", True)
    assert bug["under"] == "2 ranks, Client.get raises ConnectionError on rank 0"
    assert (fixed["expected"], fixed["found"], fixed["under"]) == ("ended", "completed", bug["under"])


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("other-golden-file", "the fix: differs"),
        ("does-not-hang", "bug.py (2 ranks): expected deadlock, found completed; not deadlock"),
        ("fault-that-never-fires", "Client.get was never called (nth = 7)"),
        ("shows-nothing", "case.toml states no demonstration in which bug.py fails"),
        ("offers-more", "the fix: not as stated: case.toml says unsafe, safe is offered"),
        ("no-such-function", "has no function"),
        ("fix-that-does-not-help", "expected completed, found failed; ValueError; not completed"),
    ],
)
def test_what_is_not_proven_says_why(proofs: dict[str, dict[str, Any]], name: str, problem: str) -> None:
    assert proofs[name]["verdict"] == "unproven"
    assert problem in proofs[name]["problem"]


def test_a_rule_that_reports_nothing_there_has_nothing_to_prove(proofs: dict[str, dict[str, Any]]) -> None:
    proof = proofs["of-another-rule"]
    assert (proof["verdict"], proof["fix"]["applicability"]) == ("shown", "no finding")


def test_the_report_of_the_harness_is_there_where_a_run_ends_otherwise(
    proofs: dict[str, dict[str, Any]],
) -> None:
    (bug,) = proofs["does-not-hang"]["bug"]
    assert "collectives in the order each rank entered them" in bug["detail"]


def test_the_example_of_the_documentation_is_proven_and_its_fix_shown(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "fixtures.md").read_text(encoding="utf-8")
    for block, file in (("python", "bug.py"), ("toml", "case.toml")):
        (tmp_path / file).write_text(page.partition(f"```{block}\n")[2].partition("```")[0], encoding="utf-8")
    status, output, _ = prove(tmp_path)
    assert status == 0
    assert "safe, no golden file" in output
    assert "+        except Exception as error:\n" in output
    assert output.endswith("\n1 case: 1 proven\n")


def test_only_cases_of_the_codes_that_are_named_are_proven(folder: Path) -> None:
    status, output, _ = prove("RS102", folder)
    assert status == 0
    assert "of-another-rule" in output
    assert "does-not-hang" not in output


def test_a_program_may_write_beside_itself_and_leaves_nothing(tmp_path: Path) -> None:
    program = PROGRAM.replace("    try:\n", '    open(__file__ + ".log", "w").close()\n    try:\n')
    case = write_case(tmp_path, "writes", f'code = "RS101"\n{HANGS}')
    (case / "bug.py").write_text(program, encoding="utf-8")
    before = sorted(case.iterdir())
    assert prove(case)[0] == 0
    assert sorted(case.iterdir()) == before


def test_conditions_that_are_stated_for_the_fixed_program_are_not_derived_again() -> None:
    case = read_case(Path(__file__).parents[2] / "fixtures" / "RS101" / "prefix-lookup-swallowed")
    assert after_the_fix(case) == case.of(FIXED)


def test_the_fixed_program_runs_from_a_copy(folder: Path) -> None:
    with copied(folder / "without-golden-file", b"x = 1\n") as copy:
        assert (copy / FIXED).read_bytes() == b"x = 1\n"
        assert (copy / "bug.py").read_text(encoding="utf-8") == PROGRAM
    assert not copy.exists()
    assert not (folder / "without-golden-file" / FIXED).exists()
