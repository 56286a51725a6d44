"""Knows which calls may raise for a reason that one rank has alone, and what they raise then."""

from __future__ import annotations

import ast
import functools
import importlib.util
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rslint_runtime.testing.observed_calls import ObservedCall

Raised = str | BaseException


@dataclass(frozen=True)
class Reason:
    """Why a call may raise: `kind` in a word, what is `raised`, and how likely it is (`strength`, 1 is likeliest)."""

    kind: str
    raised: Raised
    strength: int


_NETWORK, _FILE, _PARSE, _OTHER = 1, 2, 3, 4

# By the longest part of the dotted name. Exceptions by name, so that nothing is imported for them here.
_RAISING: dict[str, Reason] = {
    "aiohttp": Reason("network", "aiohttp.ClientConnectionError", _NETWORK),
    "asyncio.tasks.wait_for": Reason("timeout", "asyncio.TimeoutError", _NETWORK),
    "asyncio.timeouts": Reason("timeout", "asyncio.TimeoutError", _NETWORK),
    "grpc": Reason("network", "grpc.RpcError", _NETWORK),
    "httpx": Reason("network", "httpx.ConnectError", _NETWORK),
    "multiprocessing.shared_memory": Reason("shared memory", "OSError", _FILE),
    "os.fork": Reason("process", "OSError", _FILE),
    "os.posix_spawn": Reason("process", "OSError", _FILE),
    "pickle.load": Reason("parsing", "pickle.UnpicklingError", _PARSE),
    "pickle.loads": Reason("parsing", "pickle.UnpicklingError", _PARSE),
    "ray": Reason("network", "ray.exceptions.RayError", _NETWORK),
    "redis": Reason("network", "redis.exceptions.ConnectionError", _NETWORK),
    "requests": Reason("network", "requests.exceptions.ConnectionError", _NETWORK),
    "sqlite3": Reason("file", "sqlite3.OperationalError", _FILE),
    "subprocess": Reason("process", "OSError", _FILE),
    "torch.hub": Reason("network", "OSError", _NETWORK),
    "urllib.request": Reason("network", "urllib.error.URLError", _NETWORK),
    "urllib3": Reason("network", "urllib3.exceptions.HTTPError", _NETWORK),
    "zmq": Reason("network", "zmq.ZMQError", _NETWORK),
    **dict.fromkeys(
        """
        asyncio.streams boto3 botocore etcd3 ftplib http.client huggingface_hub imaplib minio multiprocessing.connection
        multiprocessing.managers poplib psycopg2 pymongo smtplib socket ssl websocket websockets xmlrpc.client
        """.split(),
        Reason("network", "ConnectionError", _NETWORK),
    ),
    **dict.fromkeys(
        """
        builtins.open bz2 codecs.open fcntl gzip io lzma mmap os pathlib shutil tarfile tempfile torch.serialization
        zipfile
        """.split(),
        Reason("file", "OSError", _FILE),
    ),
    **dict.fromkeys(
        "json.decoder json.load json.loads".split(),
        Reason("parsing", json.JSONDecodeError("injected", "", 0), _PARSE),
    ),
    **dict.fromkeys("configparser csv tomllib".split(), Reason("parsing", "ValueError", _PARSE)),
}
# What does not fail on one rank alone, although a longer or shorter name may.
_SILENT = frozenset(
    """
    builtins einops io.BytesIO io.StringIO msgspec numpy os._Environ os.close os.cpu_count os.environ os.fspath
    os.getcwd os.getenv os.getpid os.getppid os.path os.sched_getaffinity os.urandom pathlib.Path.__init__
    pathlib.Path.absolute pathlib.Path.exists pathlib.Path.is_dir pathlib.Path.is_file pathlib.Path.resolve
    pathlib.PurePath pydantic requests.models requests.sessions.Session.__init__ rich rslint_runtime scipy
    socket.gethostname socket.socket.__init__ socket.socket.fileno socket.socket.getpeername
    socket.socket.getsockname socket.socket.setsockopt socket.socket.settimeout torch tqdm triton
    urllib.request.Request zmq.sugar.context zmq.sugar.poll
    """.split()
)

_REMOTE_CLASS = re.compile(
    r"(Client|Service|Storage|ObjectStore|Registry|Backend|Stub|Connection|Channel|Transport|Gateway|Proxy"
    r"|^Remote\w*|^Rpc\w*)(_?\w{0,3})?$"
)
_REMOTE_NAME = re.compile(
    r"(^|_)(client|stub|rpc|storage|registry|backend|service|gateway|connection)$", re.IGNORECASE
)
_SILENT_METHOD = re.compile(
    r"^(__(?!call__|next__)\w+__|is_\w+|has_\w+|supports_\w+|close|aclose|shutdown|name|get_name|keys|values|items|copy"
    r"|on_\w+|register_\w*callback|add_\w*callback)$"
)


def reason_of(call: ObservedCall, models: Any = None) -> Reason | None:
    """Why this call may raise, None if nothing says so.

    Args:
        call: as observed.
        models: what `rslint_models` gave, whose knowledge goes first.
    """
    if call.own:
        return _reason_of_own(call, models)
    name = call.callee.removesuffix(".__init__")
    if name in ("concurrent.futures.Future.result", "queue.Queue.get", "queue.Queue.put"):
        raised = {"result": "concurrent.futures.TimeoutError", "get": "queue.Empty", "put": "queue.Full"}
        return Reason("timeout", raised[name.rpartition(".")[2]], _NETWORK) if call.timed else None
    told, known = _longest_known(call.callee)
    if _SILENT_METHOD.match(name.rpartition(".")[2]):
        return None
    modelled = _modelled(name, call, models)
    if modelled is not None and (not told or known is not None):
        return modelled
    if told:
        return known
    if name.partition(".")[0] in sys.stdlib_module_names or _is_silent(name, call, models):
        return None
    return Reason("other library", "RuntimeError", _OTHER)


def spelled(call: ObservedCall) -> str:
    """The call as the source spells it, `self.client.lookup`; the callee's name where that is not to be found."""
    last = call.callee.removesuffix(".__init__").rpartition(".")[2]
    for node in _calls_by_line(call.file).get(call.line, ()):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name == last:
            return ast.unparse(node.func)
    return last


def rslint_models() -> Any:
    """rslint's knowledge of libraries, where rslint is installed; None elsewhere, the runtime does not need it."""
    if importlib.util.find_spec("rslint") is None:
        return None
    from rslint.models import load_models

    return load_models()


def _reason_of_own(call: ObservedCall, models: Any) -> Reason | None:
    """A function of the program that stands for something remote, by its name or by what its code names."""
    for mention in call.mentions:
        _, known = _longest_known(mention)
        if known is not None and known.strength < _PARSE:
            return known
    name = call.callee.rpartition(".")[2]
    on = spelled(call).rpartition(".")[0]
    # What an object calls on itself is a step of its own, however remote the object's name sounds.
    if _SILENT_METHOD.match(name) or on in ("self", "cls", "super()"):
        return None
    modelled = _modelled(None, call, models)
    if modelled is not None:
        return modelled
    receiver = on.rpartition(".")[2].strip("_")
    if (call.receiver and _REMOTE_CLASS.search(call.receiver)) or (
        receiver and _REMOTE_NAME.search(receiver)
    ):
        return Reason("remote by its name", "ConnectionError", _NETWORK)
    return None


def _longest_known(dotted: str) -> tuple[bool, Reason | None]:
    """Whether the longest part of the name that is known says something, and what."""
    # Python 3.13 has the half of pathlib in base classes.
    parts = dotted.replace("PathBase.", "Path.").split(".")
    for length in range(len(parts), 0, -1):
        name = ".".join(parts[:length])
        if name in _SILENT or name in _RAISING:
            return True, _RAISING.get(name)
    return False, None


def _modelled(dotted: str | None, call: ObservedCall, models: Any) -> Reason | None:
    if models is None:
        return None
    from rslint.models import raising

    keywords = frozenset({"timeout"} if call.timed else ())
    receivers = (call.receiver,) if call.receiver else ()
    found = raising(models, dotted, spelled(call), receivers, keywords)
    if found is None:
        return None
    return Reason(found.kind, found.exceptions[0], _NETWORK if found.strength == 1 else _FILE)


def _is_silent(dotted: str, call: ObservedCall, models: Any) -> bool:
    if models is None:
        return False
    from rslint.models import silent

    return silent(models, dotted, spelled(call))


@functools.lru_cache(maxsize=256)
def _calls_by_line(file: str) -> dict[int, list[ast.Call]]:
    """The call expressions of a file, by each line that they stand on."""
    found: dict[int, list[ast.Call]] = {}
    try:
        tree = ast.parse(Path(file).read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError):
        return found
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            for line in range(node.lineno, (node.end_lineno or node.lineno) + 1):
                found.setdefault(line, []).append(node)
    return found
