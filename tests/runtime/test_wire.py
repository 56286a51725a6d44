"""Messages survive however the stream cuts them."""

from __future__ import annotations

import socket

from hypothesis import given
from hypothesis import strategies as st
from rslint_runtime.testing import wire


@given(st.lists(st.one_of(st.binary(max_size=200), st.text(), st.integers())), st.lists(st.integers(1, 50)))
def test_a_decoder_returns_what_was_sent_in_pieces_of_any_size(
    messages: list[object], sizes: list[int]
) -> None:
    stream = b"".join(wire.encoded(message) for message in messages)
    decoder, received = wire.Decoder(), []
    position = 0
    for size in [*sizes, len(stream)]:
        received += decoder.feed(stream[position : position + size])
        position += size
    assert received == messages


def test_a_closed_connection_is_an_end_of_file() -> None:
    ours, theirs = socket.socketpair()
    wire.send(ours, {"a": 1})
    ours.close()
    assert wire.receive(theirs) == {"a": 1}
    try:
        wire.receive(theirs)
    except EOFError:
        return
    raise AssertionError("nothing was raised")
