"""Comments that suppress findings, and RS900 for those that suppress nothing."""

from __future__ import annotations

import contextlib
import json
import tokenize
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rslint.fix import apply_fixes
from rslint.project.source import Source, SourceFile
from rslint.rule import Rule
from rslint.suppression import directives, unused_suppressions
from tests.faces.support import RunRslint, write

SUPPRESSED = {
    "own form": "marked()  # rslint: ignore[RS190]",
    "with a reason": "marked()  # rslint: ignore[RS190] -- every rank gets here",
    "without codes": "marked()  # rslint: ignore",
    "by prefix": "marked()  # rslint: ignore[RS19]",
    "in lower case": "marked()  # RSLINT: ignore[rs190]",
    "among several": "marked()  # rslint: ignore[RS191, RS190]",
    "noqa": "marked()  # noqa: RS190",
    "noqa among several": "marked()  # noqa: E501,RS190",
    "noqa separated by blanks": "marked()  # noqa:RS190 E501",
    "blanket noqa": "marked()  # noqa",
    "behind another comment": "marked()  # type: ignore # noqa: RS190",
    "on the first line of the statement": "marked(  # noqa: RS190\n    1,\n)",
    "on a line within the statement": "marked(\n    1,  # rslint: ignore[RS190]\n)",
    "on a row of its own within the statement": "marked(\n    # rslint: ignore[RS190]\n    1,\n)",
    "on the last line of the statement": "marked(\n    1,\n)  # noqa: RS190",
    "for the whole file": "# rslint: ignore-file[RS190]\n\nmarked()",
    "for the whole file without codes": "marked()\n# rslint: ignore-file",
    "flake8's for the whole file": "# flake8: noqa\nmarked()",
    "flake8's for the whole file with codes": "# flake8: noqa: RS190\nmarked()",
}

REPORTED = {
    "another code": "marked()  # noqa: E501",
    "another of our codes": "marked()  # rslint: ignore[RS102]",
    "in a string": "marked('# noqa: RS190')",
    "in a string of several rows": "marked('''\n# rslint: ignore[RS190]\n''')",
    "on the row above": "# noqa: RS190\nmarked()",
    "on the row below": "marked()\n# rslint: ignore[RS190]",
    "flake8's file form behind code": "marked()  # flake8: noqa",
    "a word that begins like it": "marked()  # noqa-ish: RS190",
}


@pytest.mark.parametrize("text", SUPPRESSED.values(), ids=SUPPRESSED.keys())
@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_suppressed(text: str, newline: str, rslint: RunRslint, tree: Path) -> None:
    write(tree, {"a.py": text.replace("\n", newline).encode() + newline.encode()})
    assert rslint(select="RS190").out == "All checks passed!\n"


@pytest.mark.parametrize("text", REPORTED.values(), ids=REPORTED.keys())
def test_reported(text: str, rslint: RunRslint, tree: Path) -> None:
    write(tree, {"a.py": text + "\n"})
    assert rslint(select="RS190").status == 1


def unused(rslint: RunRslint, *arguments: str, select: str = "RS19,RS9") -> list[str]:
    done = rslint("--output-format", "json", *arguments, select=select)
    return [item["message"] for item in json.loads(done.out) if item["code"] == "RS900"]


FIXES = {
    "the whole comment": ("x = 1  # rslint: ignore[RS190]\n", "x = 1\n"),
    "with its reason": ("x = 1  # rslint: ignore[RS190] -- not a call\n", "x = 1\n"),
    "the whole row": ("x = 1\n    # noqa: RS190\ny = 2\n", "x = 1\ny = 2\n"),
    "one code out of several": ("x = 1  # noqa: E501, RS190\n", "x = 1  # noqa: E501\n"),
    "the first of several": ("x = 1  # noqa: RS190,E501 W1\n", "x = 1  # noqa: E501, W1\n"),
    "two codes": ("x = 1  # rslint: ignore[RS190, RS192]\n", "x = 1\n"),
    "before another comment": ("x = 1  # noqa: RS190  # type: ignore\n", "x = 1  # type: ignore\n"),
    "behind another comment": ("x = 1  # type: ignore # noqa: RS190\n", "x = 1  # type: ignore\n"),
    "before words": ("x = 1  # noqa: RS190 because of y\n", "x = 1  # because of y\n"),
    "for the file": ("# rslint: ignore-file[RS190]\nx = 1\n", "x = 1\n"),
    "an unknown code of ours": ("x = 1  # rslint: ignore[RS777]\n", "x = 1\n"),
    "without a newline at the end": ("x = 1\n# noqa: RS190", "x = 1\n"),
    "with Windows newlines": ("x = 1  # noqa: RS190\r\ny = 2\r\n", "x = 1\r\ny = 2\r\n"),
}


@pytest.mark.parametrize(("before", "after"), FIXES.values(), ids=FIXES.keys())
def test_unused_suppressions_are_removed(before: str, after: str, rslint: RunRslint, tree: Path) -> None:
    write(tree, {"a.py": before.encode()})
    assert len(unused(rslint)) == 1
    assert rslint("--fix").status == 0
    assert (tree / "a.py").read_bytes().decode() == after
    assert unused(rslint) == []


KEPT = {
    "used": "marked()  # noqa: RS190\n",
    "used by a finding below the level": "marked(confidence='low')  # noqa: RS190\n",
    "used by a finding in preview": "marked(preview=True)  # noqa: RS190\n",
    "a rule in preview": "x = 1  # noqa: RS191\n",
    "a prefix that covers a rule in preview": "x = 1  # noqa: RS19\n",
    "a code of another tool": "x = 1  # noqa: E501\n",
    "an unknown code in noqa": "x = 1  # noqa: RS777\n",
    "blanket noqa": "x = 1  # noqa\n",
    "noqa of RS900 itself": "x = 1  # noqa: RS190, RS900\n",
    "in a string": "x = '# noqa: RS190'\n",
}


@pytest.mark.parametrize("text", KEPT.values(), ids=KEPT.keys())
def test_suppressions_that_are_left_alone(text: str, rslint: RunRslint, tree: Path) -> None:
    write(tree, {"a.py": text})
    assert unused(rslint) == []


def test_only_rules_that_ran_make_a_suppression_unused(rslint: RunRslint, tree: Path) -> None:
    write(tree, {"a.py": "x = 1  # noqa: RS190\n"})
    assert unused(rslint, select="RS9") == []
    assert unused(rslint, "--ignore", "RS190") == []
    assert unused(rslint, select="RS190") == []
    assert unused(rslint, select="RS190,RS900") == ["unused suppression: RS190 reports nothing here"]


def test_a_rule_in_preview_is_judged_under_preview(rslint: RunRslint, tree: Path) -> None:
    write(tree, {"a.py": "x = 1  # noqa: RS191\n"})
    assert unused(rslint, "--preview") == ["unused suppression: RS191 reports nothing here"]


def test_a_rule_that_failed_judges_nothing(rslint: RunRslint, tree: Path) -> None:
    write(tree, {"a.py": "x = 1  # noqa: RS192\n", "b.py": "explode()\n"})
    assert unused(rslint) == []


def test_a_rule_ignored_for_the_file_judges_nothing(rslint: RunRslint, tree: Path) -> None:
    write(tree, {"pyproject.toml": "[tool.rslint]\nper-file-ignores = {'a.py' = ['RS190']}\n"})
    write(tree, {"a.py": "x = 1  # noqa: RS190\n"})
    assert unused(rslint) == []


_RULE = Rule("RS190", "marked-call", "", "", check=lambda analysis: ())
_ROW = st.text(st.sampled_from("x ='\"#()[]\\:,noqarslintRS19E0ä𝄞\t"), max_size=30)
_COMMENT = st.sampled_from(
    ["# noqa: RS190", "#noqa:E1,RS190", "# rslint: ignore[RS190] -- so", "# rslint:ignore-file[RS190,E1]"]
)


@given(
    st.lists(st.tuples(_ROW, st.none() | _COMMENT, _ROW), max_size=6), st.sampled_from(["\n", "\r\n", "\r"])
)
def test_edits_stay_within_their_comment(parts: list[tuple[str, str | None, str]], newline: str) -> None:
    """Whatever the text, every removal takes away nothing but comments and blanks."""
    # A backslash before a comment is an error in every Python: such a file is RS901 and is not edited.
    assume(not any(before.endswith("\\") and comment for before, comment, _ in parts))
    text = newline.join(before + (comment or "") + after for before, comment, after in parts)
    file = SourceFile(Path("/a.py"), "a", False)
    source = Source(file, text.encode(), text, "utf-8")
    for finding in unused_suppressions(source, directives(source), [], [_RULE], {"RS190"}):
        assert finding.fix is not None
        after, applied = apply_fixes(source, [finding.fix])
        assert len(applied) == 1
        assert len(after) < len(text)
        assert _code(after) == _code(text)


def _code(text: str) -> list[str]:
    """The tokens that mean something, up to the first error."""
    meaningless = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENDMARKER)
    found: list[str] = []
    normal = text.replace("\r\n", "\n").replace("\r", "\n")
    with contextlib.suppress(tokenize.TokenError, SyntaxError):
        for token in tokenize.generate_tokens(StringIO(normal).readline):
            if token.type not in meaningless and token.string.strip():
                found.append(token.string)
    return found
