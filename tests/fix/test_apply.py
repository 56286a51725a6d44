"""Edits on text: bytes outside stay, all edits of a fix apply or none, and files are replaced in one step."""

from __future__ import annotations

import codecs
import os
import stat
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rslint.edit import apply_fixes, edit_range, encode_like, line_starts
from rslint.finding import Applicability, Confidence, Edit, Finding, Fix, Place, Severity
from rslint.fix import SAFE_AND_UNSAFE, diff_text, fix_until_stable, write_all
from rslint.project.source import Source, SourceFile
from rslint.replace import replace_file

PATH = Path("/project/module.py")


def source_of(text: str, path: Path = PATH, encoding: str = "utf-8", mark: bytes = b"") -> Source:
    return Source(SourceFile(path, "module", False), mark + text.encode(encoding), text, encoding)


def place(row: int, column: int, end_row: int, end_column: int, path: Path = PATH) -> Place:
    return Place(str(path), row, column, end_row, end_column)


def fix_of(*edits: Edit, applicability: Applicability = Applicability.SAFE) -> Fix:
    return Fix(applicability, "repair", edits)


# One text -----------------------------------------------------------------------------------------


def test_rows_end_where_pythons_rows_end() -> None:
    assert line_starts("a\r\nb\rc\n\x0cd\u2028e") == (0, 3, 5, 7)


@pytest.mark.parametrize(
    "wrong", [place(3, 1, 3, 1), place(1, 5, 1, 5), place(0, 1, 1, 1), place(1, 0, 1, 1), place(2, 2, 2, 1)]
)
def test_a_place_the_text_does_not_have_is_refused(wrong: Place) -> None:
    with pytest.raises(ValueError, match="row"):
        edit_range(line_starts("abc\nde"), 6, wrong)
    assert apply_fixes(source_of("abc\nde"), [fix_of(Edit(wrong, "x"))]) == ("abc\nde", ())


def test_edits_of_one_fix_apply_all_or_none() -> None:
    first = fix_of(Edit(place(1, 1, 1, 3), "A"), Edit(place(3, 1, 3, 2), "C"))
    second = fix_of(Edit(place(2, 1, 2, 2), "B"), Edit(place(3, 1, 3, 2), "D"))
    assert apply_fixes(source_of("aaa\nb\nc\n"), [second, first]) == ("Aa\nb\nC\n", (first,))


def test_identical_edits_apply_once() -> None:
    shared = Edit(place(1, 1, 1, 1), "import pickle\n")
    one, two = fix_of(shared, Edit(place(2, 1, 2, 2), "A")), fix_of(shared, Edit(place(3, 1, 3, 2), "B"))
    assert apply_fixes(source_of("x\na\nb\n"), [one, two]) == ("import pickle\nx\nA\nB\n", (one, two))


def test_insertions_at_one_place_wait_for_each_other() -> None:
    one, two = fix_of(Edit(place(1, 1, 1, 1), "a")), fix_of(Edit(place(1, 1, 1, 1), "b"))
    assert apply_fixes(source_of("x"), [one, two]) == ("ax", (one,))


@st.composite
def texts_and_fixes(draw: st.DrawFn) -> tuple[str, list[tuple[int, int, str]]]:
    text = draw(st.text(st.sampled_from("ab é\u20ac\U0001f600\r\n\t\x0c"), max_size=60))
    offsets = st.integers(0, len(text))
    spans = draw(st.lists(st.tuples(offsets, offsets, st.text("xyz\n", max_size=4)), max_size=6))
    return text, [(min(a, b), max(a, b), content) for a, b, content in spans]


def place_at(text: str, begin: int, end: int) -> Place:
    starts = line_starts(text)

    def position(offset: int) -> tuple[int, int]:
        row = max(n for n, start in enumerate(starts) if start <= offset)
        return row + 1, offset - starts[row] + 1

    return place(*position(begin), *position(end))


@given(texts_and_fixes())
def test_characters_outside_the_edits_stay(drawn: tuple[str, list[tuple[int, int, str]]]) -> None:
    text, spans = drawn
    fixes = [fix_of(Edit(place_at(text, begin, end), content)) for begin, end, content in spans]
    result, applied = apply_fixes(source_of(text), fixes)
    taken = sorted({spans[[id(each) for each in fixes].index(id(fix))] for fix in applied})
    rest = result
    position = 0
    for begin, end, content in taken:
        kept = text[position:begin] + content
        assert rest.startswith(kept)
        rest, position = rest[len(kept) :], end
    assert rest == text[position:]
    assert bool(applied) == bool(spans)


@given(texts_and_fixes())
def test_the_order_of_fixes_does_not_matter(drawn: tuple[str, list[tuple[int, int, str]]]) -> None:
    text, spans = drawn
    fixes = [fix_of(Edit(place_at(text, begin, end), content)) for begin, end, content in spans]
    assert apply_fixes(source_of(text), fixes)[0] == apply_fixes(source_of(text), fixes[::-1])[0]


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [("utf-8", b""), ("utf-8-sig", codecs.BOM_UTF8), ("latin-1", b""), ("shift_jis", b"")],
)
def test_encoding_and_byte_order_mark_are_kept(encoding: str, mark: bytes) -> None:
    codec = "utf-8" if mark else encoding
    text = "name = 'x'  # \r\n" + ("é" if encoding != "shift_jis" else "漢")
    source = Source(SourceFile(PATH, "module", False), mark + text.encode(codec), text, encoding)
    assert encode_like(source, text + "\r\n") == source.data + b"\r\n"


def test_bytes_that_would_change_outside_the_edit_are_refused() -> None:
    source = Source(SourceFile(PATH, "module", False), b"a = '\xff'", "a = '\ufffd'", "utf-8")
    with pytest.raises(ValueError, match="same bytes"):
        encode_like(source, source.text)


# The loop -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    findings: Sequence[Finding]
    sources: Mapping[Path, Source]


def finding_at(
    row: int, line: str, new: str | None, *, code: str = "RS101", function: str = "f", path: Path
) -> Finding:
    where = place(row, 1, row, len(line) + 1, path)
    applicability = Applicability.UNSAFE if line.startswith("unsafe") else Applicability.SAFE
    fix = None if new is None else fix_of(Edit(where, new), applicability=applicability)
    return Finding(code, "n", Severity.ERROR, Confidence.HIGH, "m", where, function, (row, row), fix=fix)


@dataclass
class Checker:
    """A linter whose findings are the lines of `repairs`, each with what its fix makes of it."""

    files: dict[Path, str]
    repairs: dict[str, str | None]
    checks: int = 0
    seen: list[Mapping[Path, bytes]] = field(default_factory=list)

    def __call__(self, overrides: Mapping[Path, bytes]) -> Run:
        self.checks += 1
        texts = {
            path: overrides[path].decode() if path in overrides else text for path, text in self.files.items()
        }
        findings = [
            finding_at(row, line, self.repairs[line], function=line, path=path)
            for path, text in texts.items()
            for row, line in enumerate(text.split("\n"), 1)
            if line in self.repairs
        ]
        return Run(findings, {path: source_of(text, path) for path, text in texts.items()})


def test_rounds_go_on_until_nothing_changes() -> None:
    checker = Checker({PATH: "one\ntwo\n"}, {"one": "two", "two": "three"})
    result = fix_until_stable(checker)
    assert result.after == {PATH: b"three\nthree\n"}
    assert (result.converged, result.messages) == (True, ())


def test_a_fix_is_applied_and_the_rest_is_checked_again() -> None:
    checker = Checker({PATH: "bad\nbad2\n"}, {"bad": "good", "bad2": "good2"})
    result = fix_until_stable(checker)
    assert result.after == {PATH: b"good\ngood2\n"}
    assert result.before == {PATH: b"bad\nbad2\n"}
    assert [each.finding.function for each in result.applied] == ["bad", "bad2"]
    assert (result.converged, result.messages, list(result.run.findings)) == (True, (), [])


def test_unsafe_fixes_are_withheld_unless_asked_for() -> None:
    checker = Checker({PATH: "unsafe\n"}, {"unsafe": "good"})
    assert (fix_until_stable(checker).after, fix_until_stable(checker).withheld) == ({}, 1)
    assert fix_until_stable(checker, allow=SAFE_AND_UNSAFE).after == {PATH: b"good\n"}


def test_a_result_that_does_not_parse_is_dropped_and_said() -> None:
    result = fix_until_stable(Checker({PATH: "bad\nbad2\n"}, {"bad": "(", "bad2": "good2"}))
    assert result.after == {PATH: b"bad\ngood2\n"}
    (message,) = result.messages
    assert message == f"{PATH}:1:1: the fix of RS101 was dropped: the result does not parse"


def test_a_result_with_a_new_finding_is_dropped_and_said() -> None:
    result = fix_until_stable(
        Checker({PATH: "bad\nbad2\n"}, {"bad": "worse", "worse": None, "bad2": "good2"})
    )
    assert result.after == {PATH: b"bad\ngood2\n"}
    (message,) = result.messages
    assert message.endswith("the result has a finding that was not there before")


def test_one_files_bad_fix_does_not_stop_another_file() -> None:
    other = Path("/project/other.py")
    checker = Checker({PATH: "bad\n", other: "bad2\n"}, {"bad": "worse", "worse": None, "bad2": "good2"})
    assert fix_until_stable(checker).after == {other: b"good2\n"}


def test_fixes_that_never_settle_are_said() -> None:
    def check(overrides: Mapping[Path, bytes]) -> Run:
        text = overrides.get(PATH, b"x\n").decode()
        finding = finding_at(1, text[:-1], "y" if text == "x\n" else "x", path=PATH)
        return Run([finding], {PATH: source_of(text)})

    result = fix_until_stable(check)
    assert not result.converged
    assert result.messages == (f"{PATH}: the fixes did not settle after 10 rounds",)


def test_the_diff_names_the_file_and_shows_the_rows() -> None:
    result = fix_until_stable(Checker({PATH: "a\nbad"}, {"bad": "good"}))
    assert diff_text(result, relative_to=PATH.parent) == (
        "--- module.py\n+++ module.py\n@@ -1,2 +1,2 @@\n a\n-bad\n\\ No newline at end of file\n"
        "+good\n\\ No newline at end of file\n"
    )


# Files --------------------------------------------------------------------------------------------


def test_a_file_is_replaced_with_its_mode_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(b"old")
    path.chmod(0o750)
    assert replace_file(path, b"old", b"new") is None
    assert path.read_bytes() == b"new"
    assert [each.name for each in tmp_path.iterdir()] == ["a.py"]
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o750


def test_a_symbolic_link_stays_a_link(tmp_path: Path) -> None:
    target, link = tmp_path / "a.py", tmp_path / "link.py"
    target.write_bytes(b"old")
    link.symlink_to(target)
    assert replace_file(link, b"old", b"new") is None
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


def test_a_file_changed_between_check_and_fix_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_bytes(b"bad\n")
    result = fix_until_stable(Checker({path: "bad\n"}, {"bad": "good"}))
    path.write_bytes(b"edited meanwhile\n")
    assert write_all(result) == (f"{path}: left alone: it changed between check and fix",)
    assert path.read_bytes() == b"edited meanwhile\n"


def test_a_failing_replacement_leaves_the_old_file_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "a.py"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", fails)
    assert replace_file(path, b"old", b"new") == "No space left on device"
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["a.py"]


def test_a_vanished_file_is_said(tmp_path: Path) -> None:
    assert replace_file(tmp_path / "gone.py", b"old", b"new") == "No such file or directory"
