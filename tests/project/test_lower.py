"""Lowering: every function of a file has its intermediate representation."""

from __future__ import annotations

import ast
import inspect
import random
import sysconfig
from pathlib import Path
from types import CodeType

import msgspec
import pytest

from rslint.project import ir
from rslint.project.definitions import first_row
from rslint.project.lower import lower_file
from rslint.project.lower_expression import DEPTH_LIMIT, lower_expression
from rslint.project.parsing import parse, syntax_problem
from rslint.project.scope_tree import file_scope, nested_scopes

STDLIB = Path(sysconfig.get_paths()["stdlib"])
FILES = sorted(p for p in STDLIB.rglob("*.py") if not {"site-packages", "lib2to3", "test"} & set(p.parts))


def sample(count: int) -> list[Path]:
    return sorted(random.Random(1).sample(FILES, count))


@pytest.mark.parametrize("path", sample(300), ids=lambda p: str(p.relative_to(STDLIB)))
def test_every_function_of_real_code_is_lowered_and_survives_serialisation(path: Path) -> None:
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    try:
        tree = parse(text)
    except SyntaxError:
        pytest.skip("not for this Python")
    scope = file_scope(tree, "m")
    whole = lower_file(scope)
    assert list(whole) == ["m:", *(inner.identity for inner in nested_scopes(scope))]
    decoder = msgspec.msgpack.Decoder(ir.Function)
    for function in whole.values():
        assert decoder.decode(msgspec.msgpack.encode(function)) == function


@pytest.mark.filterwarnings("ignore::SyntaxWarning")
@pytest.mark.parametrize("path", sample(100), ids=lambda p: str(p.relative_to(STDLIB)))
def test_generators_are_those_of_the_compiler(path: Path) -> None:
    try:
        tree = parse(path.read_bytes().decode("utf-8", "surrogateescape"))
        compiled = compiled_functions(compile(tree, "m", "exec", dont_inherit=True))
    except SyntaxError:
        pytest.skip("not for this Python")
    scope = file_scope(tree, "m")
    lowered = lower_file(scope)
    for inner in nested_scopes(scope):
        if not isinstance(inner.node, (ast.Module, ast.ClassDef)):
            key = inner.name, first_row(inner.node)
            assert lowered[inner.identity].is_generator == compiled.get(key, False)


def compiled_functions(code: CodeType) -> dict[tuple[str, int], bool]:
    """Whether a function is a generator, by its name and first row."""
    found: dict[tuple[str, int], bool] = {}
    pending = [code]
    while pending:
        one = pending.pop()
        flags = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR
        found[one.co_name, one.co_firstlineno] = bool(one.co_flags & flags)
        pending += [constant for constant in one.co_consts if isinstance(constant, CodeType)]
    return found


def test_every_kind_of_statement_and_expression_has_its_own_form() -> None:
    text = (
        "async def f(a, /, b: int = 1, *c, d=2, **e) -> str:\n"
        "    global g\n"
        "    from .x import y as z\n"
        "    async with a as b, c: pass\n"
        "    async for i in b: break\n"
        "    else: await i\n"
        "    match a:\n"
        "        case [1, K(x=n), *rest] if n: del a\n"
        "        case None | {'k': v}: raise E from v\n"
        "        case _: assert a, 'no'\n"
        "    try: x = lambda q: f'{q}' + (yield)\n"
        "    except (A, B) as error: x += a[1:2, ::3]\n"
        "    finally: return {**a, 1: 2}, {i for i in b if c}, not (p := q)\n"
    )
    function = lower_file(file_scope(parse(text), "pkg.m"))["pkg.m:f"]
    assert [(p.name, p.kind) for p in function.parameters] == [
        ("a", "positional"),
        ("b", "positional"),
        ("c", "args"),
        ("d", "keyword"),
        ("e", "kwargs"),
    ]
    assert function.is_async
    assert function.is_generator is False  # the yield belongs to the lambda
    kinds = [type(statement).__name__ for statement in function.body]
    assert kinds == ["Scope", "Import", "With", "For", "Match", "Try"]
    imported, match = function.body[1], function.body[4]
    assert isinstance(imported, ir.Import)
    assert imported.names == (("z", "pkg.x.y"),)
    assert isinstance(match, ir.Match)
    assert [(case.captures, case.irrefutable) for case in match.cases] == [
        (("n", "rest"), False),
        (("v",), False),
        ((), True),
    ]


def test_nested_and_repeated_definitions_have_their_own_identities() -> None:
    text = (
        "class C:\n"
        "    @property\n"
        "    def p(self): return 1\n"
        "    @p.setter\n"
        "    def p(self, v):\n"
        "        def inner(): pass\n"
        "@overload\n"
        "def f(a: int): ...\n"
        "if X:\n"
        "    def f(a): pass\n"
        "else:\n"
        "    def f(a): pass\n"
    )
    assert sorted(lower_file(file_scope(parse(text), "m"))) == [
        "m:", "m:C", "m:C.p", "m:C.p@2", "m:C.p@2.inner", "m:f", "m:f@2"
    ]  # fmt: skip


def test_very_deep_expressions_are_cut_and_never_overflow() -> None:
    tree = ast.parse("x = " + " + ".join(["a"] * 800), mode="exec")
    assert isinstance(tree.body[0], ast.Assign)
    lowered = lower_expression(tree.body[0].value)
    depth = 0
    while isinstance(lowered, ir.BinOp):
        lowered, depth = lowered.left, depth + 1
    assert depth == DEPTH_LIMIT + 1
    assert isinstance(lowered, ir.Other)
    assert lowered.kind == "too-deep"


def test_a_long_chain_of_elif_is_cut_and_never_overflows() -> None:
    tree = parse("if a: pass\n" + "elif b: pass\n" * 300)
    assert lower_file(file_scope(tree, "m"))["m:"].body


@pytest.mark.parametrize(
    ("text", "row", "reason"),
    [
        ("x = (\n", 1, "'(' was never closed"),
        ("x = 1\n\0", 2, "null bytes"),
        ("x = " + "(" * 20_000 + ")" * 20_000, 1, "too many nested parentheses"),
        ("x = " + "-" * 20_000 + "1", 1, "nested too deeply for Python's parser"),
    ],
)
def test_what_cannot_be_parsed_has_a_place_and_a_reason(text: str, row: int, reason: str) -> None:
    problem = syntax_problem(text)
    assert problem is not None
    assert problem[0] == row
    assert reason in problem[2]


@pytest.mark.parametrize(
    "value", ["b'x'", "10 ** 3", "1" * 30, "'\\ud800'", "1j", "...", "None", "1e999", "'é'"]
)
def test_every_literal_survives_serialisation(value: str) -> None:
    lowered = lower_expression(ast.parse(value, mode="eval").body)
    assert msgspec.msgpack.Decoder(ir.Expr).decode(msgspec.msgpack.encode(lowered)) == lowered
