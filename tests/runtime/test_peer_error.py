"""PeerError: what a rank's exception becomes on the other ranks, whatever is wrong with it."""

from __future__ import annotations

import asyncio
import builtins
import pickle
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rslint_runtime import PeerError
from rslint_runtime.peer_error import _shortened_text, describe_failure, raise_for_peer

MEGABYTE = 1_000_000

# They came with Python 3.11.
Group: Any = getattr(builtins, "ExceptionGroup", None)
BaseGroup: Any = getattr(builtins, "BaseExceptionGroup", None)


def at_a_peer(error: BaseException, rank: int = 0) -> PeerError:
    """What a peer raises when `rank` raised `error`; the description goes through a pickle, as on the wire."""
    if error.__traceback__ is None:
        try:
            raise error
        except BaseException:
            pass
    with pytest.raises(PeerError) as raised:
        raise_for_peer(pickle.loads(pickle.dumps(describe_failure(error, rank))))
    return raised.value


# --- its type


@pytest.mark.parametrize(
    "error",
    [
        ValueError("v"),
        TypeError("t"),
        KeyError("k"),
        RuntimeError("r"),
        OSError(5, "io", "file"),
        TimeoutError("t"),
        ConnectionResetError("c"),
        FileNotFoundError(2, "no", "f"),
        AssertionError("a"),
        StopIteration(3),
        ImportError("i", name="n", path="p"),
        UnicodeDecodeError("utf-8", b"x", 0, 1, "bad"),
        MemoryError(),
        SyntaxError("s", ("file", 3, 1, "x = = 1")),
        NotImplementedError("n"),
        asyncio.TimeoutError(),
        subprocess.CalledProcessError(1, ["x"]),
        subprocess.TimeoutExpired(["x"], 3.0),
    ],
    ids=lambda error: type(error).__name__,
)
def test_common_exceptions_combine_with_peer_error(error: Exception) -> None:
    peer = at_a_peer(error)
    assert isinstance(peer, type(error))
    assert type(error).__name__ in str(peer)
    assert peer.args == error.args


@pytest.mark.parametrize(
    "error",
    [SystemExit(4), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError("stop")],
    ids=lambda error: type(error).__name__,
)
def test_what_is_no_exception_is_an_ordinary_peer_error(error: BaseException) -> None:
    """A peer must neither exit without a word nor count as cancelled because another rank was told to."""
    peer = at_a_peer(error)
    assert not isinstance(peer, type(error))
    assert isinstance(peer, Exception)
    assert peer.error_type.endswith(type(error).__name__)
    assert isinstance(peer.__cause__, type(error))
    assert peer.__cause__.args == error.args


@pytest.mark.parametrize(
    ("error", "field", "value"),
    [
        (OSError(2, "no", "f"), "errno", 2),
        (OSError(2, "no", "f"), "filename", "f"),
        (UnicodeDecodeError("utf-8", b"xy", 1, 2, "bad"), "start", 1),
        (ImportError("i", name="n"), "name", "n"),
        (StopIteration(3), "value", 3),
        (subprocess.CalledProcessError(7, ["x"]), "returncode", 7),
        (SyntaxError("s", ("file", 3, 1, "x")), "lineno", 3),
    ],
)
def test_fields_that_handlers_look_at_come_along(error: Exception, field: str, value: object) -> None:
    assert getattr(at_a_peer(error), field) == value


@pytest.mark.skipif(Group is None, reason="Python 3.11 has exception groups")
def test_the_members_of_an_exception_group_can_be_taken_apart() -> None:
    members = [ValueError("one"), Group("inner", [KeyError("two")])]
    peer: Any = at_a_peer(Group("several", members))
    assert isinstance(peer, Group)
    values, rest = peer.split(ValueError)
    assert repr(values.exceptions) == "(ValueError('one'),)"
    assert repr(rest.exceptions) == "(ExceptionGroup('inner', [KeyError('two')]),)"
    assert "KeyError: 'two'" in peer.traceback_text


@pytest.mark.skipif(Group is None, reason="Python 3.11 has exception groups")
def test_a_group_with_an_exit_in_it_is_an_ordinary_peer_error() -> None:
    peer = at_a_peer(BaseGroup("several", [SystemExit(1), ValueError()]))
    assert not isinstance(peer, BaseGroup)
    assert peer.error_type == "BaseExceptionGroup"


class Final(Exception):
    def __init_subclass__(cls) -> None:
        raise TypeError("no subclasses, please")


class AboveFinal(LookupError):
    pass


class Slotted(AboveFinal):
    __slots__ = ("shard",)

    def __init__(self, shard: int) -> None:
        super().__init__(f"shard {shard}")
        self.shard = shard

    def __reduce__(self) -> tuple[Any, ...]:
        return (Slotted, (self.shard,))


def test_a_type_that_refuses_subclasses_gives_way_to_its_base() -> None:
    peer = at_a_peer(Final("x"))
    assert not isinstance(peer, Final)
    assert peer.error_type.endswith("Final")
    assert isinstance(peer.__cause__, Final)


def test_fields_in_slots_come_along() -> None:
    peer: Any = at_a_peer(Slotted(3))
    assert isinstance(peer, AboveFinal)
    assert peer.shard == 3


class NeedsArguments(Exception):
    """The pickle of such an exception breaks when it is read."""

    def __init__(self, one: int, *, two: int) -> None:
        super().__init__(f"{one}/{two}")


def test_a_constructor_that_needs_arguments_is_not_called() -> None:
    peer = at_a_peer(NeedsArguments(1, two=2))
    assert isinstance(peer, NeedsArguments)
    assert (peer.text, peer.__cause__) == ("1/2", None)


# --- what is wrong with it


class Hostile(ValueError):
    """Raises, wherever it is asked for something, what no handler expects."""

    def __str__(self) -> str:
        raise SystemExit(1)

    def __reduce__(self) -> Any:
        raise KeyboardInterrupt


class HostileWhenRead(ValueError):
    def __reduce__(self) -> tuple[Any, ...]:
        return (sys.exit, (3,))


class Nested(ValueError):
    """Its pickle is as deep as its list."""

    def __init__(self, depth: int) -> None:
        super().__init__(depth)
        self.inner: list[Any] = []
        for _ in range(depth):
            self.inner = [self.inner]


@pytest.mark.parametrize(
    "error", [Hostile(), HostileWhenRead("x"), Nested(100_000)], ids=lambda error: type(error).__name__
)
def test_an_exception_that_raises_when_it_is_described_still_arrives(error: ValueError) -> None:
    peer = at_a_peer(error)
    assert isinstance(peer, type(error))
    assert peer.error_type.endswith(type(error).__name__)
    assert type(error).__name__ in peer.traceback_text
    assert peer.__cause__ is None


def test_an_exception_of_fifty_megabytes_is_cut_and_says_so() -> None:
    error = ConnectionError("a" * (50 * MEGABYTE) + " the end")
    described = describe_failure(error, 0)
    assert len(pickle.dumps(described)) < MEGABYTE
    peer = at_a_peer(error)
    assert isinstance(peer, ConnectionError)
    for text in (peer.text, peer.traceback_text):
        assert "characters cut] …" in text
        assert "the end" in text[-200:]
    assert "pickled it takes 50,0" in peer.text
    assert "at_a_peer" in peer.traceback_text, "the frames come before the message"


@given(st.text(max_size=60), st.integers(4, 40))
def test_a_text_that_is_cut_keeps_both_ends_and_says_how_much_is_gone(text: str, limit: int) -> None:
    cut = _shortened_text(text, limit)
    if len(text) <= limit:
        assert cut == text
        return
    begin, _, rest = cut.rpartition("… [")
    said, _, end = rest.partition(" characters cut] …")
    assert text.startswith(begin)
    assert text.endswith(end)
    assert (len(begin) + len(end), int(said)) == (limit, len(text) - limit)


def test_the_largest_exception_that_travels_whole() -> None:
    """Text, traceback and pickle are bounded one by one."""
    whole = describe_failure(ConnectionError("a" * 20_000), 0)
    assert (len(whole.text), whole.pickled is None) == (20_000, False)
    blob = ConnectionError("short", b"x" * (MEGABYTE // 2))
    assert at_a_peer(blob).args == blob.args


def test_a_long_chain_of_causes_is_cut_in_the_middle() -> None:
    error = ValueError("first of all")
    for number in range(3000):
        following = ValueError(number)
        following.__cause__ = error
        error = following
    text = at_a_peer(error).traceback_text
    assert len(text) < 101_000
    assert "first of all" in text
    assert "ValueError: 2999" in text


# --- handing on


def test_a_peer_error_survives_pickling() -> None:
    error = at_a_peer(ConnectionError("gone"), rank=3)
    copy = pickle.loads(pickle.dumps(error))
    assert isinstance(copy, PeerError)
    assert isinstance(copy, ConnectionError)
    assert (copy.rank, str(copy)) == (3, str(error))


@dataclass(frozen=True)
class Refusal(Exception):
    """What cannot be unpickled, since a frozen dataclass refuses the attributes that an exception is given."""

    code: int


def test_an_error_without_the_fields_of_its_type_can_be_shown_and_compared() -> None:
    error = at_a_peer(Refusal(4), rank=3)
    assert isinstance(error, Refusal)
    assert error.__cause__ is None
    assert repr(error) == "PeerError('4')"
    assert error == error
    assert error != at_a_peer(Refusal(4), rank=3)
    assert error in {error}


def test_peers_of_a_peer_learn_of_the_rank_where_it_began() -> None:
    first = at_a_peer(ConnectionError("gone"), rank=3)
    second = at_a_peer(first, rank=1)
    assert isinstance(second, ConnectionError)
    assert (second.rank, str(second)) == (3, str(first))


def test_all_failures_can_be_had_and_the_first_counts() -> None:
    failures = [describe_failure(ConnectionError("gone"), 1), describe_failure(KeyError("k"), 4)]
    with pytest.raises(ConnectionError) as raised:
        raise_for_peer(*failures)
    peer: Any = pickle.loads(pickle.dumps(raised.value))
    assert "(so did ranks [4], see `failures`)" in str(peer)
    assert [(rank, error.error_type, error.text) for rank, error in peer.failures.items()] == [
        (1, "ConnectionError", "gone"),
        (4, "KeyError", "'k'"),
    ]
    assert isinstance(peer.failures[4], KeyError)


def test_a_peer_error_of_ones_own_making_is_an_ordinary_exception() -> None:
    error = PeerError("said by a test")
    assert (str(error), error.failures) == ("said by a test", {})
    assert str(pickle.loads(pickle.dumps(error))) == "said by a test"
    assert at_a_peer(error).text == "said by a test"
