"""The words of a file: what the tables are searched by."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from rslint.project.scan import words_of

PIECES = st.sampled_from(
    [b"a", b"Z_", b"0", b"12", b" ", b"\t", b"\n", b"\r\n", b"\x0c", b".", b"'", b"\xc3\xa9", b"\xff"]
)


@given(st.one_of(st.binary(), st.lists(PIECES).map(b"".join)))
def test_words_are_the_longest_runs_that_start_with_no_digit(data: bytes) -> None:
    words = re.findall(rb"[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*", data)
    assert sorted(words_of(data).split()) == sorted(set(words))


def test_words_in_strings_and_comments_count() -> None:
    found = words_of(b"rank = 0x1F  # the rank's\ngroup['tp_0']")
    assert set(found.split()) == {b"rank", b"x1F", b"the", b"s", b"group", b"tp_0"}
