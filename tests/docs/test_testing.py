"""docs/testing.md does what it says: its files, its commands and what they print, in an empty folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.page import ROOT, Command, File, carried_out, normalised, rewritten, same, steps

PAGE = ROOT / "docs" / "testing.md"


@pytest.mark.timeout(650)
def test_the_page_on_testing_leads_to_a_found_deadlock_and_its_repair(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    printed = []
    for command, output in carried_out(PAGE.read_text(), tmp_path):
        told = normalised(command.output, tmp_path)
        assert same(told, output), f"$ {command.line}\nthe page says:\n{told}\nit printed:\n{output}"
        printed.append(output)
    outcomes = ["deadlock after" in output for output in printed]
    assert outcomes.index(True) > 0, "the page begins with what works"
    assert "passed" in printed[-1]


def test_shell_blocks_are_for_the_reader_and_consoles_for_the_test() -> None:
    page = "```sh\nmake war\n```\n**`a.py`**\n```python\nA = 1\n```\n```console\n$ python a.py\n$ ls\na.py\n```\n"
    file, first, second = steps(page)
    assert file == File("a.py", "A = 1\n")
    assert isinstance(first, Command)
    assert isinstance(second, Command)
    assert (first.line, first.output, second.line, second.output) == ("python a.py", "", "ls", "a.py\n")
    assert page[second.start : second.end] == "a.py\n"


@pytest.mark.parametrize(
    ("page", "problem"),
    [
        ("```console\nls\n```\n", "begins with `\\$ `"),
        ("**`../a.py`**\n```python\n```\n", "files of a page lie in one folder"),
    ],
)
def test_a_page_that_cannot_be_carried_out_is_an_error(page: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        steps(page)


def test_a_later_file_of_the_same_name_replaces_the_first(tmp_path: Path) -> None:
    page = "".join(
        f"**`a.py`**\n```python\nprint({n})\n```\n```console\n$ python a.py\n{n}\n```\n" for n in (1, 2)
    )
    assert [output for _, output in carried_out(page, tmp_path)] == ["1\n", "2\n"]


@pytest.mark.parametrize(
    ("told", "printed", "agree"),
    [
        ("a\n", "a\n", True),
        ("a\n", "b\n", False),
        ("a\n...\nd\n", "a\nb\nc\nd\n", True),
        ("a\n...\nd\n", "a\nd\n", True),
        ("a\n...\nd\n", "a\nb\n", False),
        ("...\n", "", True),
        ("a...\n", "ab\n", False),
        ("", "Traceback\n", False),
    ],
)
def test_three_dots_stand_for_lines_that_the_page_leaves_out(told: str, printed: str, agree: bool) -> None:
    assert same(told, printed) is agree


def test_times_and_places_are_made_plain(tmp_path: Path) -> None:
    text = f"1 passed in 13.90s \n{tmp_path}/a.py:3 after 0.07 s in {tmp_path}\n"
    assert normalised(text, tmp_path) == "1 passed in 0.12s\na.py:3 after 0.12s in .\n"


def test_a_page_is_written_again_only_where_it_is_wrong(tmp_path: Path) -> None:
    page = "\n".join(
        [
            *("**`a.py`**", "```python", "print('one')", "print('two')", "```"),
            *("```console", "$ python a.py", "{}", "$ python a.py", "...", "two", "```", ""),
        ]
    )
    assert rewritten(page.replace("{}", "three"), tmp_path) == page.replace("{}", "one\ntwo")
