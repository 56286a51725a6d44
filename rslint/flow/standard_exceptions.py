"""The exception classes of Python and its standard library by name: data alone.

State of Python 3.13; the sources are the documentation page "Built-in Exceptions" and the page of each
module. A test compares the tables with the running interpreter.
"""

from __future__ import annotations

from collections.abc import Mapping

_SUBCLASSES = """
BaseException: BaseExceptionGroup Exception GeneratorExit KeyboardInterrupt SystemExit
BaseException: asyncio.CancelledError
Exception: ArithmeticError AssertionError AttributeError BufferError EOFError ImportError
Exception: LookupError MemoryError NameError OSError ReferenceError RuntimeError StopAsyncIteration
Exception: StopIteration SyntaxError SystemError TypeError ValueError Warning
Exception: asyncio.InvalidStateError asyncio.LimitOverrunError asyncio.QueueEmpty asyncio.QueueFull
Exception: asyncio.TimeoutError concurrent.futures._base.Error configparser.Error copy.Error
Exception: csv.Error ctypes.ArgumentError ftplib.Error http.client.HTTPException lzma.LZMAError
Exception: multiprocessing.ProcessError pickle.PickleError queue.Empty queue.Full queue.ShutDown
Exception: re.error sqlite3.Error struct.error subprocess.SubprocessError tarfile.TarError
Exception: xml.parsers.expat.ExpatError zipfile.BadZipFile zlib.error
ArithmeticError: FloatingPointError OverflowError ZeroDivisionError
ImportError: ModuleNotFoundError zipimport.ZipImportError
LookupError: IndexError KeyError
NameError: UnboundLocalError
OSError: BlockingIOError ChildProcessError ConnectionError FileExistsError FileNotFoundError
OSError: InterruptedError IsADirectoryError NotADirectoryError PermissionError ProcessLookupError
OSError: TimeoutError shutil.Error smtplib.SMTPException socket.gaierror socket.herror ssl.SSLError
OSError: urllib.error.URLError
ConnectionError: BrokenPipeError ConnectionAbortedError ConnectionRefusedError ConnectionResetError
RuntimeError: NotImplementedError PythonFinalizationError RecursionError
RuntimeError: asyncio.SendfileNotAvailableError concurrent.futures.BrokenExecutor
RuntimeError: threading.BrokenBarrierError
SyntaxError: IndentationError xml.etree.ElementTree.ParseError
IndentationError: TabError
ValueError: UnicodeError binascii.Error ipaddress.AddressValueError json.JSONDecodeError
ValueError: tomllib.TOMLDecodeError
UnicodeError: UnicodeDecodeError UnicodeEncodeError UnicodeTranslateError
Warning: BytesWarning DeprecationWarning EncodingWarning FutureWarning ImportWarning
Warning: PendingDeprecationWarning ResourceWarning RuntimeWarning SyntaxWarning UnicodeWarning
Warning: UserWarning
EOFError: asyncio.IncompleteReadError
ModuleNotFoundError: importlib.metadata.PackageNotFoundError
concurrent.futures.BrokenExecutor: concurrent.futures.process.BrokenProcessPool
concurrent.futures.BrokenExecutor: concurrent.futures.thread.BrokenThreadPool
multiprocessing.ProcessError: multiprocessing.AuthenticationError multiprocessing.BufferTooShort
multiprocessing.ProcessError: multiprocessing.TimeoutError
pickle.PickleError: pickle.PicklingError pickle.UnpicklingError
subprocess.SubprocessError: subprocess.CalledProcessError subprocess.TimeoutExpired
urllib.error.URLError: urllib.error.HTTPError
ssl.SSLError: ssl.SSLEOFError ssl.SSLWantReadError ssl.SSLWantWriteError ssl.SSLZeroReturnError
http.client.HTTPException: http.client.BadStatusLine http.client.IncompleteRead
http.client.HTTPException: http.client.InvalidURL
http.client.BadStatusLine: http.client.RemoteDisconnected
configparser.Error: configparser.NoOptionError configparser.NoSectionError configparser.ParsingError
sqlite3.Error: sqlite3.DatabaseError sqlite3.InterfaceError
sqlite3.DatabaseError: sqlite3.IntegrityError sqlite3.OperationalError sqlite3.ProgrammingError
concurrent.futures._base.Error: concurrent.futures.CancelledError
concurrent.futures._base.Error: concurrent.futures.InvalidStateError concurrent.futures.TimeoutError
tarfile.TarError: tarfile.ExtractError tarfile.ReadError
"""
_SEVERAL_BASES = {
    "ExceptionGroup": ("BaseExceptionGroup", "Exception"),
    "http.client.RemoteDisconnected": ("http.client.BadStatusLine", "ConnectionResetError"),
    "ssl.CertificateError": ("ssl.SSLError", "ValueError"),
}

ALIASES: Mapping[str, str] = {
    "EnvironmentError": "OSError",
    "IOError": "OSError",
    "WindowsError": "OSError",
    "os.error": "OSError",
    "select.error": "OSError",
    "socket.error": "OSError",
    "socket.timeout": "TimeoutError",  # since 3.10
    "asyncio.exceptions.CancelledError": "asyncio.CancelledError",
    "asyncio.exceptions.TimeoutError": "asyncio.TimeoutError",
    "json.decoder.JSONDecodeError": "json.JSONDecodeError",
    "re.PatternError": "re.error",
    "zipfile.BadZipfile": "zipfile.BadZipFile",
    "concurrent.futures._base.BrokenExecutor": "concurrent.futures.BrokenExecutor",
}
ALIASES_SINCE_3_11: Mapping[str, str] = {
    "asyncio.TimeoutError": "TimeoutError",
    "concurrent.futures.TimeoutError": "TimeoutError",
}


def _bases() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {"BaseException": ()}
    for line in _SUBCLASSES.split("\n"):
        base, _, names = line.partition(": ")
        found.update((name, (base,)) for name in names.split())
    return found | _SEVERAL_BASES


BASES: Mapping[str, tuple[str, ...]] = _bases()
