"""The command line: what is reported, in which format, with which exit code."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faces.support import RunRslint, in_new_process, write


def test_without_findings_the_exit_code_is_0(rslint: RunRslint, tree: Path) -> None:
    write(tree, {"a.py": "x = 1\n"})
    assert rslint() == rslint("check", ".")
    assert (rslint().status, rslint().out) == (0, "All checks passed!\n")


def test_a_finding_is_one_line_and_exit_code_1(rslint: RunRslint, tree: Path) -> None:
    write(tree, {"a.py": "x = 1\nmarked('unsafe')\n"})
    done = rslint("--output-format", "concise")
    assert done.status == 1
    assert done.out.splitlines()[0] == "a.py:2:1: RS190 a marked call"
    assert done.out.splitlines()[1:] == [
        "Found 1 error.",
        "No fixes available (1 hidden unsafe fix can be enabled with the `--unsafe-fixes` option).",
    ]


def test_exit_zero_hides_findings_from_the_exit_code_only(rslint: RunRslint, tree: Path) -> None:
    write(tree, {"a.py": "marked()\n"})
    done = rslint("--exit-zero", "--output-format", "concise")
    assert done.status == 0
    assert "RS190" in done.out


def test_json_has_ruffs_names_and_ours(rslint: RunRslint, tree: Path) -> None:
    write(tree, {"pkg/a.py": "marked(\n  touches='b.py',\n)\n", "pkg/b.py": ""})
    (found,) = json.loads(rslint("--output-format", "json").out)
    assert found == {
        "code": "RS190",
        "name": "marked-call",
        "severity": "error",
        "confidence": "high",
        "message": "a marked\ncall",
        "filename": str(tree / "pkg/a.py"),
        "location": {"row": 1, "column": 1},
        "end_location": {"row": 3, "column": 2},
        "function": "",
        "url": found["url"],
        "noqa_row": 3,
        "preview": False,
        "suggestion": "",
        "related": [
            {
                "filename": str(tree / "pkg/b.py"),
                "location": {"row": 1, "column": 1},
                "message": "touched",
            }
        ],
        "trace": [],
        "sequences": [],
        "fix": {
            "applicability": "safe",
            "message": "Unmark it",
            "edits": [
                {
                    "location": {"row": 1, "column": 1},
                    "end_location": {"row": 1, "column": 7},
                    "content": "unmarked",
                }
            ],
        },
    }
    assert found["url"] is None, "the pages of the rules are not published yet"


def test_columns_count_characters(rslint: RunRslint, tree: Path) -> None:
    write(tree, {"a.py": "s = 'ä€𝄞'; marked()\n"})
    (found,) = json.loads(rslint("--output-format", "json").out)
    assert found["location"] == {"row": 1, "column": 12}


def test_a_finding_is_reported_when_one_of_its_places_is_in_paths(rslint: RunRslint, tree: Path) -> None:
    write(tree, {"a.py": "marked(touches='b.py')\n", "b.py": "", "c.py": "marked()\n"})
    assert rslint("b.py", "--output-format", "concise").out.startswith("a.py:1:1: RS190")
    assert rslint("c.py", "--output-format", "concise").out.startswith("c.py:1:1: RS190")


def test_select_ignore_and_extend_select(rslint: RunRslint, tree: Path) -> None:
    write(tree, {"a.py": "marked()\nearly()\n", "broken.py": "def\n"})

    def codes(*arguments: str) -> list[str]:
        return [found["code"] for found in json.loads(rslint("--output-format", "json", *arguments).out)]

    assert codes("--select", "RS19") == ["RS190"]
    assert codes("--select", "RS19,RS901") == ["RS190", "RS901"]
    assert codes("--select", "RS19", "--extend-select", "RS901") == ["RS190", "RS901"]
    assert codes("--select", "RS19", "--preview") == ["RS190", "RS191"]
    assert codes("--select", "RS19", "--preview", "--ignore", "RS190") == ["RS191"]
    assert codes("--select", "RS190", "--ignore", "RS1") == ["RS190"]
    assert codes("--select", "RS1", "--ignore", "RS1,RS9") == []


def test_configured_selection_and_its_overriding(rslint: RunRslint, tree: Path) -> None:
    write(tree, {"pyproject.toml": "[tool.rslint]\nselect = ['RS19']\nignore = ['RS190']\n"})
    write(tree, {"a.py": "marked()\n"})
    assert rslint(select=None).status == 0
    assert rslint(select="RS190").status == 1
    assert rslint("--isolated", select="RS19").status == 1


def test_per_file_ignores_are_relative_to_the_configuration(
    rslint: RunRslint, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tree, {"pyproject.toml": "[tool.rslint.per-file-ignores]\n'tests/*' = ['RS19']\n"})
    write(tree, {"tests/a.py": "marked()\n", "b.py": "marked()\n"})
    monkeypatch.chdir(tree / "tests")
    found = json.loads(rslint("..", "--output-format", "json").out)
    assert [Path(item["filename"]).name for item in found] == ["b.py"]


def test_confidence_below_the_level_is_hidden(rslint: RunRslint, tree: Path) -> None:
    write(tree, {"a.py": "marked(confidence='medium')\nmarked(confidence='low')\n"})

    def rows(*arguments: str) -> list[int]:
        found = json.loads(rslint("--output-format", "json", *arguments).out)
        return [item["location"]["row"] for item in found]

    assert rows() == [1]
    assert rows("--min-confidence", "low") == [1, 2]
    assert rows("--min-confidence", "high") == []


def test_single_findings_in_preview(rslint: RunRslint, tree: Path) -> None:
    write(tree, {"a.py": "marked(preview=True)\n"})
    assert rslint().status == 0
    assert rslint("--preview").status == 1


def test_stdin_replaces_the_bytes_of_one_file(rslint: RunRslint, tree: Path) -> None:
    write(tree, {"a.py": "x = 1\n", "b.py": "marked()\n"})
    done = rslint("-", "--stdin-filename", "a.py", "--output-format", "concise", stdin=b"\nmarked()\n")
    assert (done.status, done.out.splitlines()[0]) == (1, "a.py:2:1: RS190 [*] a marked call")
    assert "b.py" not in done.out
    assert (tree / "a.py").read_text() == "x = 1\n"


def test_stdin_needs_no_name(rslint: RunRslint, tree: Path) -> None:
    done = rslint("-", "--output-format", "concise", stdin=b"marked()\n")
    assert done.out.splitlines()[0] == "-:1:1: RS190 [*] a marked call"


def test_fix_writes_and_counts(rslint: RunRslint, tree: Path) -> None:
    write(tree, {"a.py": "marked()\nmarked('unsafe')\n"})
    done = rslint("--fix", "--output-format", "concise")
    assert done.status == 1
    assert "Found 2 errors (1 fixed, 1 remaining)." in done.out
    assert (tree / "a.py").read_text() == "unmarked()\nmarked('unsafe')\n"
    done = rslint("--fix", "--unsafe-fixes", "--output-format", "concise")
    assert (done.status, done.out) == (0, "Found 1 error (1 fixed, 0 remaining).\n")
    assert (tree / "a.py").read_text() == "unmarked()\nunmarked('unsafe')\n"


def test_exit_non_zero_on_fix(rslint: RunRslint, tree: Path) -> None:
    write(tree, {"a.py": "marked()\n"})
    assert rslint("--fix", "--exit-non-zero-on-fix").status == 1
    assert rslint("--fix", "--exit-non-zero-on-fix").status == 0


def test_diff_writes_nothing_and_exits_1_if_it_would(rslint: RunRslint, tree: Path) -> None:
    write(tree, {"a.py": "marked()\n", "b.py": "marked('unsafe')\n"})
    done = rslint("--diff")
    assert done.status == 1
    assert done.out == "--- a.py\n+++ a.py\n@@ -1 +1 @@\n-marked()\n+unmarked()\n"
    assert "Would fix 1 error." in done.err
    assert (tree / "a.py").read_text() == "marked()\n"
    assert rslint("--diff", "b.py").status == 0
    assert rslint("--diff", "--unsafe-fixes", "b.py").status == 1


def test_fix_of_stdin_prints_the_repaired_text(rslint: RunRslint, tree: Path) -> None:
    done = rslint("-", "--fix", "--stdin-filename", "a.py", stdin=b"marked()\r\n")
    assert (done.status, done.out) == (0, "unmarked()\r\n")
    assert "1 fixed" in done.err


def test_statistics_count_by_rule(rslint: RunRslint, tree: Path) -> None:
    write(tree, {"a.py": "marked()\nmarked()\n", "b.py": "(\n"})
    lines = rslint("--statistics").out.splitlines()
    assert lines[:2] == ["2\tRS190\t[*] marked-call", "1\tRS901\t[ ] unreadable-file"]


def test_output_file_is_replaced_and_stdout_stays_empty(rslint: RunRslint, tree: Path) -> None:
    write(tree, {"a.py": "marked()\n", "report.json": "old"})
    done = rslint("--output-format", "json", "--output-file", "report.json")
    assert (done.status, done.out) == (1, "")
    assert json.loads((tree / "report.json").read_text())[0]["code"] == "RS190"
    assert sorted(path.name for path in tree.iterdir()) == ["a.py", "pyproject.toml", "report.json"]


def test_extend_exclude(rslint: RunRslint, tree: Path) -> None:
    write(tree, {"gen/a.py": "marked()\n", "b.py": "marked()\n", "c.py": "marked()\n"})
    done = rslint("--extend-exclude", "gen,c.*", "--output-format", "concise")
    assert [line.split(":")[0] for line in done.out.splitlines() if "RS190" in line] == ["b.py"]


def test_explain_prints_the_page(rslint: RunRslint) -> None:
    assert rslint("explain", "RS190").out == "# marked-call (RS190)\n"
    assert rslint("explain", "unused-suppression").out.startswith("# unused-suppression (RS900)")
    assert rslint("explain", "RS777").status == 2


def test_rules_lists_code_name_fix_preview_summary(rslint: RunRslint) -> None:
    header, *rows = [re.split(r" {2,}", line) for line in rslint("rules").out.splitlines()]
    assert header == ["code", "name", "fix", "preview", "summary"]
    assert ["RS190", "marked-call", "unmark it (safe)", "no", "calls of marked()"] in rows
    assert ["RS191", "early-call", "none", "yes", "calls of early()"] in rows


def test_version() -> None:
    done = subprocess.run([sys.executable, "-m", "rslint", "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout.split()[0]) == (0, "rslint")


def test_head_is_silent(tree: Path, rule_package: Path) -> None:
    write(tree, {"a.py": "marked()\n" * 5000})
    command = f"{sys.executable} -m rslint --select RS190 --output-format concise | head -n 1"
    done = in_new_process(["bash", "-c", command], tree, rule_package)
    assert done.stdout == "a.py:1:1: RS190 [*] a marked call\n"
    assert done.stderr == ""


def test_version_and_help_import_nothing_heavy() -> None:
    code = (
        "import sys\nfrom rslint.cli import main\ntry: main(['--version'])\nexcept SystemExit: pass\n"
        "print([name for name in ('libcst', 'rich', 'multiprocessing', 'msgspec', 'flake8', 'pathspec')"
        " if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_check_without_findings_imports_nothing_that_repairs_need(tree: Path) -> None:
    write(tree, {"a.py": "import torch.distributed as dist\n\n\ndef step():\n    dist.barrier()\n"})
    code = (
        "import sys\nfrom rslint.cli import main\nmain(['check', 'a.py'])\n"
        "print([name for name in ('libcst', 'rslint_rules.divergence.repair') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tree)
    assert done.stdout.splitlines() == ["All checks passed!", "[]"], done.stderr
