"""What the repair of RS101 makes of a function, letter by letter, and where it keeps its hands off."""

from __future__ import annotations

import ast
import pickle
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from rslint_rules.divergence.repair import repaired

from rslint.finding import Applicability
from tests.fix.marked import applied, marked_finding

GOLDEN = Path(__file__).parent / "golden"
CASES = sorted(folder.name for folder in GOLDEN.iterdir())
HEAD = "import torch\nimport torch.distributed as dist\n\n"


def style_of(case: str) -> str | None:
    return "rslint_runtime" if case.startswith("runtime-") else None


def result_of(text: str, operations: tuple[str, ...] = ()) -> str | None:
    fix = repaired(text, marked_finding(text, operations=operations))
    return None if fix is None else applied(text, fix.edits)


@pytest.mark.parametrize("case", CASES)
def test_the_repair_is_the_golden_file(case: str) -> None:
    before = (GOLDEN / case / "before.py").read_bytes().decode()
    fix = repaired(before, marked_finding(before), style_of(case))
    assert fix is not None
    assert applied(before, fix.edits) == (GOLDEN / case / "after.py").read_bytes().decode()
    unsafe = case.startswith(("guard-", "runtime-"))
    assert fix.applicability is (Applicability.UNSAFE if unsafe else Applicability.SAFE)


@pytest.mark.parametrize("case", CASES)
def test_rows_outside_the_edits_stay_and_crlf_is_kept(case: str) -> None:
    before = (GOLDEN / case / "before.py").read_bytes().decode()
    windows = before.replace("\n", "\r\n")
    fix = repaired(windows, marked_finding(windows), style_of(case))
    assert fix is not None
    after = (GOLDEN / case / "after.py").read_bytes().decode()
    assert applied(windows, fix.edits) == after.replace("\n", "\r\n")


@pytest.mark.parametrize("case", CASES)
def test_what_is_repaired_adds_no_collective_unless_unsafe(case: str) -> None:
    def collectives(name: str) -> int:
        tree = ast.parse((GOLDEN / case / name).read_bytes())
        calls = (ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call))
        return sum(call.rpartition(".")[2] in KNOWN for call in calls)

    extra = collectives("after.py") - collectives("before.py")
    assert extra == (1 if case.startswith(("guard-", "runtime-guard")) else 0)


KNOWN = {
    "broadcast_object_list",
    "all_reduce",
    "barrier",
    "all_gather_object",
    "rank_guard",
    "broadcast_result",
}

LEADER = """
def agree(rank, keys):
    if rank == 0:
        result = fetch(keys)  # raises
"""
BROADCAST = """
    dist.broadcast_object_list(objects, src=0)  # collective
    return objects[0]
"""

NOT_SAFE = {
    "the value is used before it travels": f"""{LEADER}
    else:
        result = {{}}
    size = len(result)
    objects = [result]
{BROADCAST}""",
    "a test on the value stands between": f"""{LEADER}
    else:
        result = 1
    if result is None:
        return None
    objects = [result]
{BROADCAST}""",
    "what is broadcast is not what the leader made": f"""{LEADER}
    objects = [keys]
{BROADCAST}""",
    "the list's length is not clear": f"""
def agree(rank, keys):
    objects = []
    if rank == 0:
        objects.append(fetch(keys))  # raises
{BROADCAST}""",
    "not only the leader runs it": f"""
def agree(enabled, keys):
    result = None
    if enabled:
        result = fetch(keys)  # raises
    objects = [result]
{BROADCAST}""",
    "a handler stands between": f"""
def agree(rank, keys):
    result = None
    try:
        if rank == 0:
            result = fetch(keys)  # raises
    except ValueError:
        raise KeyError from None
    objects = [result]
{BROADCAST}""",
    "the flag is a count": """
def agree(keys):
    found = fetch(keys)  # raises
    t = torch.tensor(found)
    dist.all_reduce(t, op=dist.ReduceOp.MIN)  # collective
    return t
""",
    "a loop comes back to the reduction": """
def agree(keys):
    for key in keys:
        ok = fetch(key) is not None  # raises
        t = torch.tensor(int(ok))
        dist.all_reduce(t, op=dist.ReduceOp.MIN)  # collective
""",
    "another collective follows": """
def agree(keys):
    ok = fetch(keys) is not None  # raises
    t = torch.tensor(int(ok))
    dist.all_reduce(t, op=dist.ReduceOp.MIN)  # collective
    dist.barrier()
""",
    "the success of a maximum is not a failure": """
def agree(keys):
    ok = fetch(keys) is not None  # raises
    t = torch.tensor(int(ok))
    dist.all_reduce(t, op=dist.ReduceOp.MAX)  # collective
""",
    "the flag is read by name elsewhere": """
def agree(keys):
    global ok
    ok = fetch(keys) is not None  # raises
    t = torch.tensor(int(ok))
    dist.all_reduce(t, op=dist.ReduceOp.MIN)  # collective
""",
    "the reduction is awaited later": """
def agree(keys):
    ok = fetch(keys) is not None  # raises
    t = torch.tensor(int(ok))
    dist.all_reduce(t, op=dist.ReduceOp.MIN, async_op=True)  # collective
""",
}


@pytest.mark.parametrize("program", NOT_SAFE.values(), ids=NOT_SAFE.keys())
def test_a_safe_form_is_not_taken_when(program: str) -> None:
    text = HEAD + program
    fix = repaired(text, marked_finding(text))
    assert fix is None or fix.applicability is Applicability.UNSAFE


NOT_OFFERED = {
    "a coroutine": """
async def f(rank):
    if rank == 0:
        fetch()  # raises
    dist.barrier()  # collective
""",
    "a generator": """
def f(rank):
    fetch()  # raises
    yield 1
    dist.barrier()  # collective
""",
    "a compiled function": """
@torch.compile(dynamic=True)
def f(rank):
    fetch()  # raises
    dist.barrier()  # collective
""",
    "a CUDA graph is captured": """
def f(rank, g):
    with torch.cuda.graph(g):
        fetch()  # raises
        dist.barrier()  # collective
""",
    "statements share a row": """
def f(rank):
    fetch(); g()  # raises
    dist.barrier()  # collective
""",
    "the collective is another library's": """
def f(rank, c):
    fetch()  # raises
    c.barrier()  # collective
""",
    "one rank alone runs the block": """
def f(rank):
    if rank == 0:
        fetch()  # raises
        dist.barrier()  # collective
    else:
        dist.barrier()
""",
    "the raising call decides about a return": """
def f(rank):
    if rank == 0:
        if fetch() is None:  # raises
            return
    dist.barrier()  # collective
""",
    "the collective lies in a nested function": """
def f(rank):
    fetch()  # raises
    def g():
        dist.barrier()  # collective
    g()
""",
    "the call runs later": """
def f(rank):
    g = lambda: fetch()  # raises
    dist.barrier()  # collective
    g()
""",
    "an expression is too deep": f"""
def f(rank):
    x = {"-" * 200}1
    fetch()  # raises
    dist.barrier()  # collective
""",
    "the group is made on the way": """
def f(rank):
    group = fetch()  # raises
    dist.barrier(group=group)  # collective
""",
}


@pytest.mark.parametrize("program", NOT_OFFERED.values(), ids=NOT_OFFERED.keys())
def test_no_repair_is_offered_when(program: str) -> None:
    text = HEAD + program
    assert repaired(text, marked_finding(text)) is None


def test_names_of_the_function_are_not_taken_again() -> None:
    text = f"""{HEAD}
def f(rank, failure, error):
    failures = own_failure = 1
    fetch()  # raises
    dist.barrier()  # collective
    return failures, own_failure
"""
    result = result_of(text)
    assert result is not None
    assert "except Exception as error_2:" in result
    assert "own_failure_2 = failure_2 = None" in result
    assert "failures_2 = [None] * dist.get_world_size()" in result


def test_a_second_repair_shares_the_import_and_the_helper() -> None:
    text = (GOLDEN / "envelope-two-arms" / "after.py").read_text()
    text = text.replace("# raises", "").replace("# collective", "")
    text += "\n\ndef again(rank):\n    fetch()  # raises\n    dist.barrier()  # collective\n"
    result = result_of(text)
    assert result is not None
    assert result.count("import pickle\n") == 1
    assert result.count("def _picklable_error") == 1


def test_several_operations_behind_the_reduction_need_the_guard() -> None:
    text = (GOLDEN / "fold-success-flag" / "before.py").read_text()
    fix = repaired(text, marked_finding(text, operations=("all_reduce", "barrier")))
    assert fix is not None
    assert fix.applicability is Applicability.UNSAFE


def test_a_handler_around_the_function_keeps_its_name() -> None:
    text = f"""{HEAD}
def f(rank):
    try:
        prepare()
    except OSError as error:
        fetch()  # raises
        dist.barrier()  # collective
        raise KeyError from error
"""
    result = result_of(text)
    assert result is not None
    assert "except Exception as error_2:" in result


def test_the_leader_may_raise_on_its_own_account() -> None:
    text = f"""{HEAD}
def f(rank):
    objects = [None]
    if rank == 0:
        for name in "ab":
            found = fetch(name)  # raises
            if found:
                break
        else:
            raise LookupError("nothing found")
        objects[0] = found
    dist.broadcast_object_list(objects, src=0)  # collective
    return objects[0]
"""
    fix = repaired(text, marked_finding(text))
    assert fix is not None
    assert fix.applicability is Applicability.SAFE


def helper() -> Callable[[Exception], Exception]:
    """The function that repaired files carry, as it stands in a golden file."""
    tree = ast.parse((GOLDEN / "envelope-two-arms" / "after.py").read_bytes())
    (definition,) = (node for node in tree.body if getattr(node, "name", "") == "_picklable_error")
    scope: dict[str, Any] = {"pickle": pickle}
    exec(compile(ast.Module([definition], []), "helper", "exec"), scope)
    return cast(Callable[[Exception], Exception], scope["_picklable_error"])


class NeedsTwo(ConnectionError):
    def __init__(self, host: str, port: int) -> None:
        super().__init__(f"{host}:{port} refused")


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (KeyError("k"), KeyError, "'k'"),
        (FileNotFoundError(2, "gone", "a.txt"), FileNotFoundError, "[Errno 2] gone: 'a.txt'"),
        (NeedsTwo("host", 80), ConnectionError, "host:80 refused"),
        (OSError(threading.Lock()), OSError, None),
    ],
)
def test_an_error_travels_as_itself_or_its_nearest_base_that_pickles(
    error: Exception, kind: type[Exception], text: str | None
) -> None:
    received = helper()(error)
    assert type(received) is kind
    assert pickle.loads(pickle.dumps(received)).args == received.args
    assert text is None or str(received) == text


def test_an_error_of_a_local_class_travels_as_its_base() -> None:
    class Local(TimeoutError):
        pass

    assert type(helper()(Local("late"))) is TimeoutError


@pytest.mark.parametrize(
    "line", ["import cloudpickle as pickle", "def _picklable_error(error): return None", "pickle = object()"]
)
def test_no_repair_where_the_module_gives_its_names_another_meaning(line: str) -> None:
    text = (GOLDEN / "guard-barrier" / "before.py").read_text()
    text = text.replace("def fetch", f"{line}\n\n\ndef fetch")
    assert repaired(text, marked_finding(text)) is None


def test_no_repair_where_the_collective_lies_in_another_file() -> None:
    text = (GOLDEN / "guard-barrier" / "before.py").read_text()
    finding = marked_finding(text)
    elsewhere = replace(
        finding.related[0], place=replace(finding.related[0].place, filename="/project/other.py")
    )
    assert repaired(text, replace(finding, related=(elsewhere,))) is None


def test_runtime_module_of_the_project_is_imported() -> None:
    text = (GOLDEN / "runtime-guard" / "before.py").read_text()
    fix = repaired(text, marked_finding(text), "engine.utils.rank_safety")
    assert fix is not None
    assert "from engine.utils.rank_safety import rank_guard\n" in applied(text, fix.edits)
