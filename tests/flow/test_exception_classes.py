"""Names of exceptions in a scope, resolved: imports, aliases, classes of other modules, local ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from rslint.flow.exception_classes import handler_catches, raised_class
from rslint.flow.knowledge import Knowledge
from rslint.project import ir
from rslint.project.text import statements
from tests.flow.trees import known

FILES = {
    "errors.py": """
        from requests import ConnectionError as RemoteError

        class Lost(ConnectionError):
            pass

        class Refused(Lost, RemoteError):
            pass

        class Strange(registry["base"]):
            pass
    """,
    "m.py": """
        import queue as q
        import redis
        import requests
        import errors
        from errors import Lost, Refused, Strange

        try:
            from redis import RedisError
        except ImportError:
            class RedisError(Exception):
                pass

        class TimeoutError(Exception):
            pass

        Alias = Lost

        def run(x, given: type[OSError]):
            class Inner(Refused):
                pass
            error = Refused(x)
            dist.barrier()
            try:
                {raised}
            except {handler}:
                pass
    """,
}


def program(
    folder: Path, raised: str = "pass", handler: str = "OSError"
) -> tuple[Knowledge, tuple[ir.Stmt, ...]]:
    files = {
        name: text.replace("{raised}", raised).replace("{handler}", handler) for name, text in FILES.items()
    }
    k = known(folder, files)
    return k, tuple(statements(k.links.ir("m:run").body))


@pytest.mark.parametrize(
    ("raised", "label"),
    [
        ("Lost", "errors:Lost"),
        ("Lost(x)", "errors:Lost"),
        ("errors.Lost(x)", "errors:Lost"),
        ("Alias(x)", "errors:Lost"),
        ("error", "errors:Refused"),
        ("Inner(x)", "m:run.Inner"),
        ("OSError(x)", "OSError"),
        ("TimeoutError(x)", "m:TimeoutError"),  # shadows the builtin
        ("q.Empty", "queue.Empty"),
        # what is not known stays as written
        ("RedisError(x)", "RedisError"),
        ("x.failure()", "failure"),
        ("x[0]", "Exception"),
    ],
)
def test_the_label_of_what_is_raised(tmp_path: Path, raised: str, label: str) -> None:
    k, body = program(tmp_path, f"raise {raised}")
    (statement,) = (s for s in body if isinstance(s, ir.Raise))
    assert statement.exception is not None
    assert raised_class(k, "m:run", statement.exception) == label


@pytest.mark.parametrize(
    ("handler", "exception", "answer"),
    [
        ("Lost", "errors:Refused", "yes"),
        ("errors.Lost", "errors:Refused", "yes"),
        ("Alias", "errors:Lost", "yes"),
        ("(KeyError, Lost)", "m:run.Inner", "yes"),
        ("OSError", "errors:Lost", "yes"),
        ("Refused", "errors:Lost", "maybe"),
        ("Lost", "ConnectionError", "no"),
        ("Lost", "Exception", "maybe"),
        ("q.Empty", "errors:Lost", "no"),
        ("TimeoutError", "TimeoutError", "no"),
        ("TimeoutError", "m:TimeoutError", "yes"),
        ("Strange", "errors:Lost", "maybe"),
        ("KeyError", "errors:Strange", "maybe"),
        # the package under which a class is imported
        ("redis.RedisError", "redis.exceptions.ConnectionError", "yes"),
        ("requests.RequestException", "errors:Refused", "yes"),
        # one of two classes, a class that the caller chooses
        ("RedisError", "redis.exceptions.ConnectionError", "yes"),
        ("given", "ConnectionError", "maybe"),
        # what a client of an unknown class raises: an author who names the error of a library knows better
        ("requests.RequestException", "ConnectionError", "maybe"),
        ("(KeyError, requests.Timeout)", "grpc.RpcError", "maybe"),
        ("redis.RedisError", "OSError", "no"),
        ("q.Empty", "ConnectionError", "no"),
        ("Refused", "ConnectionError", "no"),
    ],
)
def test_a_handler_is_resolved_in_its_scope(
    tmp_path: Path, handler: str, exception: str, answer: str
) -> None:
    k, body = program(tmp_path, "x()", handler)
    (statement,) = (s for s in body if isinstance(s, ir.Try))
    assert handler_catches(k, "m:run", statement.handlers[0].types, exception) == answer
