"""Which handler stops which exception: a table; and the tables of classes against the running interpreter."""

from __future__ import annotations

import ast
import importlib
import sys

import pytest

from rslint.flow.exceptions import ancestors, catches
from rslint.flow.standard_exceptions import ALIASES, ALIASES_SINCE_3_11, BASES
from rslint.project import ir
from rslint.project.lower_expression import lower_expression
from tests.flow.programs import function

LIBRARY = {
    "requests.exceptions.RequestException": ("OSError",),
    "requests.exceptions.ConnectionError": ("requests.exceptions.RequestException",),
    "requests.exceptions.JSONDecodeError": ("requests.exceptions.RequestException", "json.JSONDecodeError"),
    "m.Broken": ("RuntimeError",),
}


def types(clause: str) -> ir.Expr | None:
    (statement,) = function(f"try:\n    x = 1\n{clause}:\n    x = 2\n").body
    assert isinstance(statement, ir.Try)
    return statement.handlers[0].types


@pytest.mark.parametrize(
    ("clause", "exception", "answer"),
    [
        ("except", "KeyError", "yes"),
        ("except", "SystemExit", "yes"),
        ("except BaseException", "Exception", "yes"),
        ("except Exception", "Exception", "yes"),
        ("except Exception", "ConnectionError", "yes"),
        ("except Exception", "KeyboardInterrupt", "no"),
        ("except Exception", "asyncio.CancelledError", "no"),
        ("except Exception", "BaseException", "maybe"),  # the label stands for its subclasses too
        ("except OSError", "ConnectionResetError", "yes"),
        ("except ConnectionResetError", "OSError", "maybe"),
        ("except ConnectionError", "TimeoutError", "no"),
        ("except KeyError", "ConnectionError", "no"),
        ("except LookupError", "KeyError", "yes"),
        ("except KeyError", "Exception", "maybe"),
        ("except KeyboardInterrupt", "Exception", "no"),
        ("except queue.Empty", "ConnectionError", "no"),
        ("except Empty", "ConnectionError", "no"),  # `from queue import Empty`
        ("except queue.Empty", "queue.Empty", "yes"),
        ("except Empty", "queue.Empty", "yes"),
        ("except builtins.OSError", "OSError", "yes"),
        # other spellings of one class
        ("except IOError", "OSError", "yes"),
        ("except EnvironmentError", "FileNotFoundError", "yes"),
        ("except socket.error", "ConnectionRefusedError", "yes"),
        ("except OSError", "socket.timeout", "yes"),
        ("except ValueError", "json.decoder.JSONDecodeError", "yes"),
        # one class since Python 3.11, two before
        ("except asyncio.TimeoutError", "TimeoutError", "maybe"),
        ("except TimeoutError", "asyncio.TimeoutError", "maybe"),
        ("except OSError", "concurrent.futures.TimeoutError", "maybe"),
        ("except concurrent.futures.TimeoutError", "asyncio.TimeoutError", "maybe"),
        ("except asyncio.TimeoutError", "asyncio.TimeoutError", "yes"),
        ("except Exception", "asyncio.TimeoutError", "yes"),
        ("except KeyError", "asyncio.TimeoutError", "no"),
        # classes with several bases
        ("except ConnectionError", "http.client.RemoteDisconnected", "yes"),
        ("except http.client.HTTPException", "http.client.RemoteDisconnected", "yes"),
        ("except Exception", "ExceptionGroup", "yes"),
        # tuples
        ("except (KeyError, OSError)", "ConnectionError", "yes"),
        ("except (KeyError, IndexError)", "ConnectionError", "no"),
        ("except (KeyError, ConnectionError)", "OSError", "maybe"),
        ("except (KeyError, *more)", "OSError", "maybe"),
        ("except (KeyError,) + (OSError,)", "OSError", "yes"),
        ("except ()", "OSError", "no"),
        # libraries, by `bases`
        ("except OSError", "requests.exceptions.ConnectionError", "yes"),
        ("except requests.exceptions.RequestException", "requests.exceptions.ConnectionError", "yes"),
        ("except requests.RequestException", "requests.exceptions.ConnectionError", "yes"),
        ("except RequestException", "requests.exceptions.ConnectionError", "yes"),
        ("except ConnectionError", "requests.exceptions.ConnectionError", "no"),  # the builtin, not requests'
        ("except requests.ConnectionError", "ConnectionError", "no"),
        ("except RequestException", "OSError", "maybe"),
        ("except ValueError", "requests.exceptions.JSONDecodeError", "yes"),
        ("except Broken", "m.Broken", "yes"),
        ("except Broken", "ConnectionError", "no"),
        # what nobody knows
        ("except Unheard", "ConnectionError", "maybe"),
        ("except errors[0]", "ConnectionError", "maybe"),
        ("except failures()", "ConnectionError", "maybe"),
        ("except Exception", "unheard.Error", "yes"),
        ("except unheard.Error", "unheard.Error", "yes"),
        ("except OSError", "unheard.Failure", "maybe"),
    ],
)
def test_a_handler_stops_an_exception(clause: str, exception: str, answer: str) -> None:
    assert catches(types(clause), exception, LIBRARY) == answer


def test_names_are_resolved_before_they_are_looked_up() -> None:
    """`import queue as q`, and a project's own class that is called as a builtin one."""
    resolve = {"q.Empty": "queue.Empty", "TimeoutError": "m.Broken"}.get
    handler = types("except q.Empty")
    assert catches(handler, "OSError", LIBRARY) == "maybe"
    assert catches(handler, "OSError", LIBRARY, lambda name: resolve(name, name)) == "no"
    assert catches(types("except TimeoutError"), "TimeoutError", LIBRARY, lambda n: resolve(n, n)) == "no"


PROJECT = {
    **LIBRARY,
    "m:Lost": ("ConnectionError",),
    "m:Timeout": ("m:Lost", "requests.ConnectionError"),  # the base as it is imported, not as it is defined
    "m:Strange": ("?",),  # a base that is computed
}


@pytest.mark.parametrize(
    ("clause", "exception", "answer"),
    [
        ("except OSError", "m:Lost", "yes"),
        ("except Lost", "m:Lost", "yes"),
        ("except Lost", "m:Timeout", "yes"),
        ("except RequestException", "m:Timeout", "yes"),
        ("except RequestException", "m:Lost", "no"),
        ("except ValueError", "m:Lost", "no"),
        ("except Timeout", "m:Lost", "maybe"),  # the label stands for its subclasses too
        # what a library raises is no class of the project
        ("except Lost", "ConnectionError", "no"),
        ("except Lost", "requests.exceptions.ConnectionError", "no"),
        ("except (Lost, OSError)", "ConnectionError", "yes"),
        # but anything may be
        ("except Lost", "Exception", "maybe"),
        ("except Lost", "unheard.Failure", "maybe"),
        # a class whose bases are not all known
        ("except ValueError", "m:Strange", "maybe"),
        ("except Exception", "m:Strange", "yes"),
        ("except Strange", "m:Lost", "maybe"),
        ("except Strange", "ConnectionError", "no"),
    ],
)
def test_classes_of_the_project_are_known_by_their_bases(clause: str, exception: str, answer: str) -> None:
    def resolve(name: str) -> str:
        return f"m:{name}" if f"m:{name}" in PROJECT else name

    assert catches(types(clause), exception, PROJECT, resolve) == answer


def test_a_class_of_the_project_is_not_found_by_its_last_name() -> None:
    assert catches(types("except Lost"), "m.Outer:Lost", {"m.Outer:Lost": ("OSError",)}) == "maybe"


def test_a_parsed_expression_serves_as_well() -> None:
    expression = ast.parse("(OSError, KeyError)", mode="eval").body
    assert catches(lower_expression(expression, 0), "KeyError", {}) == "yes"


def test_ancestors_end_at_exception_for_the_unknown() -> None:
    assert ancestors("unheard.Error", {}) == {"unheard.Error", "Exception", "BaseException"}
    assert ancestors("m.Broken", LIBRARY) == {"m.Broken", "RuntimeError", "Exception", "BaseException"}


def test_bases_that_go_in_a_circle_end() -> None:
    assert ancestors("a.A", {"a.A": ("a.B",), "a.B": ("a.A",)}) == {"a.A", "a.B"}


def loaded(name: str) -> type | None:
    """The class of this name in the running interpreter; None where this version or platform has none."""
    module, _, attribute = name.rpartition(".")
    try:
        found = getattr(importlib.import_module(module or "builtins"), attribute, None)
    except ImportError:
        return None
    return found if isinstance(found, type) else None


@pytest.mark.parametrize("name", sorted(BASES))
def test_the_table_agrees_with_the_interpreter(name: str) -> None:
    cls = loaded(name)
    if cls is None:
        newer = {"queue.ShutDown", "PythonFinalizationError", "ExceptionGroup", "BaseExceptionGroup"}
        assert name in newer | {"tomllib.TOMLDecodeError"}
        assert sys.version_info < (3, 13)
        return
    merged = sys.version_info >= (3, 11) and name in ALIASES_SINCE_3_11
    known = ancestors(ALIASES_SINCE_3_11[name] if merged else name, {})
    above = {base for base in cls.__mro__ if issubclass(base, BaseException)}
    listed = {loaded(other) for other in known}
    assert listed - {None} <= above
    missing = {base for base in above - listed if any(loaded(other) is base for other in BASES)}
    assert not missing


@pytest.mark.parametrize("alias", sorted(ALIASES))
def test_an_alias_is_the_class_it_stands_for(alias: str) -> None:
    cls = loaded(alias)
    if cls is None:
        assert alias in ("WindowsError", "re.PatternError", "zipfile.BadZipfile")
        return
    assert cls is loaded(ALIASES[alias])
