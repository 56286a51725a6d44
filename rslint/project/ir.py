"""The intermediate representation: a frozen, serialisable mirror of the part of Python the analyses need.

One function at a time is lowered from `ast` (see `rslint.project.lower`). Every node carries a `Span` whose rows
count from 1 and whose columns are UTF-8 byte offsets from 0, as `ast` has them; faces turn them into characters.
Nodes are msgspec structs: frozen, compared by value, encoded with `msgspec.msgpack`; they form trees, so the collector
of cycles need not know them (`gc=False`). Analyses that attach facts to one occurrence of a node key them by `id(node)`
while they hold the function.
"""

from __future__ import annotations

import msgspec


class Span(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A half-open source range: rows from 1, columns in UTF-8 bytes from 0."""

    row: int
    column: int
    end_row: int
    end_column: int


class Node(msgspec.Struct, frozen=True, tag=True, array_like=True, gc=False):
    """What all nodes share: the place they were lowered from."""

    span: Span


# Expressions ---------------------------------------------------------------------------------------------------------


class Name(Node, frozen=True, tag=True, array_like=True):
    id: str


class Constant(Node, frozen=True, tag=True, array_like=True):
    """A literal. `kind` is the type's name; `value` is None for kinds without one (bytes, complex, Ellipsis, None)
    and for integers beyond 64 bits (kind "int")."""

    kind: str
    value: str | int | float | bool | None


class Attribute(Node, frozen=True, tag=True, array_like=True):
    value: Expr
    attr: str


class Keyword(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A keyword argument; `name` is None for `**value`."""

    name: str | None
    value: Expr


class Call(Node, frozen=True, tag=True, array_like=True):
    func: Expr
    args: tuple[Expr, ...]
    keywords: tuple[Keyword, ...]


class Compare(Node, frozen=True, tag=True, array_like=True):
    """`left op0 comparators0 op1 …`; operators are spelled as in source: "==", "is not", "not in"."""

    left: Expr
    operators: tuple[str, ...]
    comparators: tuple[Expr, ...]


class BoolOp(Node, frozen=True, tag=True, array_like=True):
    operator: str  # "and" | "or"
    values: tuple[Expr, ...]


class UnaryOp(Node, frozen=True, tag=True, array_like=True):
    operator: str  # "not" | "-" | "+" | "~"
    operand: Expr


class BinOp(Node, frozen=True, tag=True, array_like=True):
    left: Expr
    operator: str
    right: Expr


class IfExp(Node, frozen=True, tag=True, array_like=True):
    test: Expr
    body: Expr
    orelse: Expr


class Subscript(Node, frozen=True, tag=True, array_like=True):
    value: Expr
    index: Expr


class Collection(Node, frozen=True, tag=True, array_like=True):
    """A display: `kind` is "tuple", "list", "set" or "dict" (dict items alternate key, value; `**x` is a Starred)."""

    kind: str
    items: tuple[Expr, ...]


class Generator(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One `for target in iterable if …` clause of a comprehension."""

    target: Expr
    iterable: Expr
    conditions: tuple[Expr, ...]
    is_async: bool


class Comprehension(Node, frozen=True, tag=True, array_like=True):
    """`kind` is "list", "set", "dict" (two elements) or "generator"."""

    kind: str
    elements: tuple[Expr, ...]
    generators: tuple[Generator, ...]


class Lambda(Node, frozen=True, tag=True, array_like=True):
    parameters: tuple[str, ...]
    body: Expr


class Await(Node, frozen=True, tag=True, array_like=True):
    value: Expr


class Yield(Node, frozen=True, tag=True, array_like=True):
    value: Expr | None


class YieldFrom(Node, frozen=True, tag=True, array_like=True):
    value: Expr


class NamedExpr(Node, frozen=True, tag=True, array_like=True):
    target: Expr
    value: Expr


class Starred(Node, frozen=True, tag=True, array_like=True):
    value: Expr


class Other(Node, frozen=True, tag=True, array_like=True):
    """Anything else ("fstring", "slice", "template", "too-deep"): only its parts matter."""

    kind: str
    parts: tuple[Expr, ...]


Expr = (
    Name | Constant | Attribute | Call | Compare | BoolOp | UnaryOp | BinOp | IfExp | Subscript | Collection
    | Comprehension | Lambda | Await | Yield | YieldFrom | NamedExpr | Starred | Other
)  # fmt: skip


# Statements ----------------------------------------------------------------------------------------------------------


class ExprStmt(Node, frozen=True, tag=True, array_like=True):
    value: Expr


class Assign(Node, frozen=True, tag=True, array_like=True):
    """`a = b = value`, `a: T = value` (one target, `annotation`), `a op= value` (one target, `operator`).
    A bare annotation `a: T` has `value` None."""

    targets: tuple[Expr, ...]
    value: Expr | None
    annotation: Expr | None = None
    operator: str | None = None


class Return(Node, frozen=True, tag=True, array_like=True):
    value: Expr | None


class Raise(Node, frozen=True, tag=True, array_like=True):
    exception: Expr | None
    cause: Expr | None


class Assert(Node, frozen=True, tag=True, array_like=True):
    test: Expr
    message: Expr | None


class Delete(Node, frozen=True, tag=True, array_like=True):
    targets: tuple[Expr, ...]


class If(Node, frozen=True, tag=True, array_like=True):
    test: Expr
    body: tuple[Stmt, ...]
    orelse: tuple[Stmt, ...]


class While(Node, frozen=True, tag=True, array_like=True):
    test: Expr
    body: tuple[Stmt, ...]
    orelse: tuple[Stmt, ...]


class For(Node, frozen=True, tag=True, array_like=True):
    target: Expr
    iterable: Expr
    body: tuple[Stmt, ...]
    orelse: tuple[Stmt, ...]
    is_async: bool


class Handler(Node, frozen=True, tag=True, array_like=True):
    """`except types as name:`; `types` is the expression as written, None for a bare `except:`."""

    types: Expr | None
    name: str | None
    body: tuple[Stmt, ...]


class Try(Node, frozen=True, tag=True, array_like=True):
    body: tuple[Stmt, ...]
    handlers: tuple[Handler, ...]
    orelse: tuple[Stmt, ...]
    final: tuple[Stmt, ...]
    is_star: bool


class WithItem(msgspec.Struct, frozen=True, array_like=True, gc=False):
    context: Expr
    target: Expr | None


class With(Node, frozen=True, tag=True, array_like=True):
    items: tuple[WithItem, ...]
    body: tuple[Stmt, ...]
    is_async: bool


class Case(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One `case`. `values` are the expressions compared, `captures` the names bound, `irrefutable` true for
    `case _` and `case name` without a guard."""

    values: tuple[Expr, ...]
    captures: tuple[str, ...]
    guard: Expr | None
    body: tuple[Stmt, ...]
    irrefutable: bool
    span: Span


class Match(Node, frozen=True, tag=True, array_like=True):
    subject: Expr
    cases: tuple[Case, ...]


class Import(Node, frozen=True, tag=True, array_like=True):
    """A local import: `names` are (bound name, dotted target) pairs, relative imports already made absolute."""

    names: tuple[tuple[str, str], ...]


class Scope(Node, frozen=True, tag=True, array_like=True):
    """`global` / `nonlocal`."""

    kind: str
    names: tuple[str, ...]


class Jump(Node, frozen=True, tag=True, array_like=True):
    """`kind` is "break", "continue" or "pass"."""

    kind: str


class Define(Node, frozen=True, tag=True, array_like=True):
    """A nested `def` or `class`; its body is lowered on its own under `identity` (a FunctionId or ClassId)."""

    name: str
    identity: str
    kind: str  # "function" | "class"
    decorators: tuple[Expr, ...]
    defaults: tuple[Expr, ...]


Stmt = (
    ExprStmt | Assign | Return | Raise | Assert | Delete | If | While | For | Try | With | Match | Import | Scope
    | Jump | Define
)  # fmt: skip


class Parameter(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """`kind`: "positional" (also positional-only), "keyword", "args" or "kwargs"."""

    name: str
    kind: str
    annotation: Expr | None
    default: Expr | None


class Function(msgspec.Struct, frozen=True, tag=True, gc=False):
    """One function, method, lambda-free; `identity` is "package.module:Outer.inner" (`<locals>` left out).
    A module's top level is a function too, with identity "package.module:"."""

    identity: str
    name: str
    owner: str | None  # ClassId "package.module:Class" of the class the def stands in directly
    parameters: tuple[Parameter, ...]
    decorators: tuple[Expr, ...]
    returns: Expr | None
    body: tuple[Stmt, ...]
    is_async: bool
    is_generator: bool
    span: Span
