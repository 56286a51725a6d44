"""Small programs for the tests of control and data flow: their graphs, and random ones.

What a call means is in its name: `io()` may raise OSError, `rpc()` ConnectionError, `lookup()` KeyError,
`anything()` Exception; contexts named `suppress` may swallow. Nothing else raises.
"""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Callable
from typing import Any, get_args

from hypothesis import strategies as st

from rslint.flow.cfg import Cfg, build_cfg, label, render
from rslint.flow.exceptions import catches
from rslint.project import ir
from rslint.project.lower import lower_scope
from rslint.project.scope_tree import scope_of
from rslint.project.text import expressions, last_name, walk

RAISED = {
    "io": ("OSError",),
    "rpc": ("ConnectionError",),
    "lookup": ("KeyError",),
    "anything": ("Exception",),
    "either": ("KeyError", "OSError"),
}


def function(body: str) -> ir.Function:
    """The function with this body, lowered."""
    node = ast.parse("def f():\n" + textwrap.indent(textwrap.dedent(body).strip("\n"), "    ")).body[0]
    assert isinstance(node, ast.FunctionDef)
    return lower_scope(scope_of(node, "m:f"))


def raises(node: Any) -> tuple[str, ...]:
    if isinstance(node, ir.Raise):
        return () if node.exception is None else (last_name(node.exception) or "Exception",)
    parts = expressions(node) if isinstance(node, get_args(ir.Stmt)) else (node,)
    calls = [inner for part in parts for inner in walk(part) if isinstance(inner, ir.Call)]
    return tuple(label for call in calls for label in RAISED.get(last_name(call) or "", ()))


def swallows(item: ir.WithItem) -> bool:
    return last_name(item.context) == "suppress"


def graph(body: str, raising: Callable[[ir.Node], tuple[str, ...]] = raises) -> Cfg:
    return build_cfg(
        function(body), raising, swallows, lambda types, exception: catches(types, exception, {})
    )


def rendered(body: str, raising: Callable[[ir.Node], tuple[str, ...]] = raises) -> str:
    """The graph in the form of the expectations: indented like them."""
    return "\n" + textwrap.indent(render(graph(body, raising)), "    ") + "\n    "


def numbered(cfg: Cfg, text: str) -> int:
    """The one node with this label."""
    (found,) = [node.index for node in cfg.nodes if label(node) == text]
    return found


def _nested(inner: st.SearchStrategy[list[str]], loops: bool) -> st.SearchStrategy[list[str]]:
    def block(head: str, lines: list[str]) -> list[str]:
        return [head, *("    " + line for line in lines)]

    both = st.tuples(inner, inner)
    tests = st.sampled_from(["a", "not a", "a and b()", "a or not b", "a if b else io()"])
    choice = st.tuples(tests, both).map(lambda x: block(f"if {x[0]}:", x[1][0]) + block("else:", x[1][1]))
    guarded = both.map(lambda x: block("try:", x[0]) + block("except KeyError:", x[1]))
    final = both.map(lambda x: block("try:", x[0]) + block("finally:", x[1]))
    context = st.tuples(st.sampled_from(["lock", "suppress()"]), inner).map(
        lambda x: block(f"with {x[0]}:", x[1])
    )
    cases = both.map(lambda x: block("match a:", block("case 1 if b:", x[0]) + block("case 2:", x[1])))
    forms = [choice, guarded, final, context, cases]
    if loops:
        head = st.sampled_from(["while a:", "while True:", "for i in io():"])
        loop = st.tuples(head, inner, st.sampled_from(["break", "continue", "i = 1"]))
        forms.append(loop.map(lambda x: block(x[0], [*x[1], f"if c: {x[2]}"])))
        forms.append(loop.map(lambda x: block(x[0], x[1])))
    return st.one_of(forms)


def programs(loops: bool = True) -> st.SearchStrategy[str]:
    """Bodies of functions; without `loops` their graphs have no cycle."""
    simple = st.sampled_from(
        [
            "x = 1",
            "y = x",
            "del x",
            "x = io()",
            "lookup()",
            "either()",
            "return x",
            "raise OSError",
            "z = a and rpc()",
        ]
    ).map(lambda line: [line])

    def several(one: st.SearchStrategy[list[str]]) -> st.SearchStrategy[list[str]]:
        return st.lists(one, min_size=1, max_size=3).map(
            lambda parts: [line for part in parts for line in part]
        )

    body = st.recursive(
        several(simple), lambda inner: several(st.one_of(simple, _nested(inner, loops))), max_leaves=8
    )
    return body.map("\n".join)
