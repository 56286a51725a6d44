"""What the repairs of RS2 make of a function, letter by letter, and where they keep their hands off."""

from __future__ import annotations

import ast
import textwrap
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rslint import cli

HEAD = """
import asyncio
import threading
from contextlib import nullcontext


class Updates:
    def __init__(self):
        self.condition = asyncio.Condition()
        self.lock = asyncio.Lock()
        self.guard = threading.Lock()
        self.paused = False
        self.clients = {}

    async def pause(self):
        async with self.condition:
            self.paused = True

    def add(self, name):
        with self.guard:
            self.clients[name] = make()
"""


def repaired(folder: Path, source: str, code: str) -> str:
    """The file after `--fix --unsafe-fixes` with this rule alone."""
    (folder / "pyproject.toml").write_text("[tool.rslint]\n", encoding="utf-8")
    path = folder / "m.py"
    path.write_text(source, encoding="utf-8")
    cli.main(["check", "--isolated", "--select", code, "--fix", "--unsafe-fixes", "--exit-zero", str(path)])
    return path.read_text(encoding="utf-8")


def method(source: str, name: str) -> str:
    """The text of one method, without its indentation."""
    tree = ast.parse(source)
    (found,) = (
        node
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == name
    )
    lines = source.splitlines()[found.lineno - 1 : found.end_lineno]
    return textwrap.dedent("\n".join(lines)) + "\n"


def test_the_decision_and_the_act_come_under_one_lock(tmp_path: Path) -> None:
    source = (
        HEAD
        + """
    async def update(self, weights):
        async with self.condition:
            free = not self.paused
        context = self.lock if free else nullcontext()
        # the weights of all layers
        async with context:
            # one by one
            for weight in weights:
                await replace(weight)

        return weights
"""
    )
    after = repaired(tmp_path, source, "RS204")
    assert "nullcontext" not in after
    assert method(after, "update") == textwrap.dedent("""\
        async def update(self, weights):
            async with self.condition:
                free = not self.paused
                if not free:
                    # one by one
                    for weight in weights:
                        await replace(weight)
            # the weights of all layers
            if free:
                async with self.lock:
                    # one by one
                    for weight in weights:
                        await replace(weight)

            return weights
    """)


KEPT = {
    "the context has a name": """
        async with self.condition:
            paused = self.paused
        context = self.lock if not paused else nullcontext()
        async with context as held:
            await replace(held)
""",
    "a comment in the lines that go": """
        async with self.condition:
            paused = self.paused
        context = self.lock if not paused else nullcontext()  # nobody serves
        async with context:
            await replace(weights)
""",
    "a text over several lines": '''
        async with self.condition:
            paused = self.paused
        context = self.lock if not paused else nullcontext()
        async with context:
            await replace("""first
            second""")
''',
    "the condition in the body": """
        async with self.condition:
            paused = self.paused
        context = self.lock if not paused else nullcontext()
        async with context:
            async with self.condition:
                await replace(weights)
""",
    "the context is used again": """
        async with self.condition:
            paused = self.paused
        context = self.lock if not paused else nullcontext()
        async with context:
            await replace(weights)
        async with context:
            pass
""",
    "something between reading and choosing": """
        async with self.condition:
            paused = self.paused
        note(paused)
        context = self.lock if not paused else nullcontext()
        async with context:
            await replace(weights)
""",
    "the answer was read without a lock": """
        paused = self.paused
        context = self.lock if not paused else nullcontext()
        async with context:
            await replace(weights)
""",
}


@pytest.mark.parametrize("body", KEPT.values(), ids=KEPT.keys())
def test_another_form_is_left_alone(body: str, tmp_path: Path) -> None:
    source = HEAD + "\n    async def update(self, weights):" + body
    assert repaired(tmp_path, source, "RS204") == source


def test_the_import_stays_while_a_suppressed_place_uses_it(tmp_path: Path) -> None:
    one = """
    async def update{n}(self, weights):
        async with self.condition:
            paused = self.paused
        context = self.lock if not paused else nullcontext()
        async with context:{mark}
            await replace(weights)
"""
    source = HEAD + one.format(n=1, mark="") + one.format(n=2, mark="  # noqa: RS204")
    after = repaired(tmp_path, source, "RS204")
    assert "from contextlib import nullcontext" in after
    assert "nullcontext()" not in method(after, "update1")
    assert "nullcontext()" in method(after, "update2")


def test_the_second_test_stands_inside_the_lock(tmp_path: Path) -> None:
    source = (
        HEAD
        + """
    def client(self):
        if self.one is None:
            with self.guard:
                # made once
                self.one = make(
                    1,
                )
        return self.one
"""
    )
    after = repaired(tmp_path, source, "RS206")
    assert method(after, "client") == textwrap.dedent("""\
        def client(self):
            if self.one is None:
                with self.guard:
                    if self.one is None:
                        # made once
                        self.one = make(
                            1,
                        )
            return self.one
    """)
    assert repaired(tmp_path, after, "RS206") == after


@pytest.mark.parametrize(
    "body",
    [
        """
        if self.one is None:
            log()
            with self.guard:
                self.one = make()
""",
        """
        if self.one is None:
            with self.guard:
                self.one = make()
        else:
            log()
""",
        """
        if self.one is None:
            with self.guard: self.one = make()
""",
    ],
    ids=["more than the lock", "an else", "one line"],
)
def test_a_second_test_that_is_not_plain_is_not_written(body: str, tmp_path: Path) -> None:
    source = HEAD + "\n    def client(self):" + body
    assert repaired(tmp_path, source, "RS206") == source


def test_all_loops_over_one_container_go_over_copies_at_once(tmp_path: Path) -> None:
    loop = """
    def tell{n}(self):
        for client in self.clients.values():
            client.send()
"""
    after = repaired(tmp_path, HEAD + loop.format(n=1) + loop.format(n=2), "RS208")
    assert after.count("list(self.clients.values())") == 2


def test_each_place_without_a_second_test_gets_one(tmp_path: Path) -> None:
    make = """
    def client{n}(self):
        if self.one is None:
            with self.guard:
                self.one = make({n})
        return self.one
"""
    after = repaired(tmp_path, HEAD + make.format(n=1) + make.format(n=2), "RS206")
    assert after.count("if self.one is None:") == 4


def test_a_loop_goes_over_a_copy(tmp_path: Path) -> None:
    source = (
        HEAD
        + """
    def tell(self):
        for client in self.clients.values():
            client.send()
"""
    )
    after = repaired(tmp_path, source, "RS208")
    assert "for client in list(self.clients.values()):" in after
    assert repaired(tmp_path, after, "RS208") == after


STATEMENTS = st.sampled_from(
    [
        "await replace(weights)",
        "results = await replace(\n    weights,\n    [1, 2],\n)",
        "# a comment alone",
        "for weight in weights:\n    await replace(weight)",
        "try:\n    await replace(weights)\nexcept OSError:\n    pass\nfinally:\n    note()",
        "text = 'ä' + \"ß\"  # more",
        "",
        "if weights:\n    return weights",
        "while await more():\n\n    await replace(weights)",
    ]
)


@settings(max_examples=10, deadline=None)
@given(body=st.lists(STATEMENTS, min_size=1, max_size=4), negated=st.booleans(), swapped=st.booleans())
def test_what_is_rewritten_parses_settles_and_keeps_the_body_twice(
    body: list[str], negated: bool, swapped: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    lines = textwrap.indent("\n".join([*body, "await done()"]), " " * 12)
    test = "not paused" if negated else "paused"
    choice = (
        f"nullcontext() if {test} else self.lock" if swapped else f"self.lock if {test} else nullcontext()"
    )
    source = (
        HEAD
        + f"""
    async def update(self, weights):
        async with self.condition:
            paused = self.paused
        context = {choice}
        async with context:
{lines}
"""
    )
    folder = tmp_path_factory.mktemp("m")
    after = repaired(folder, source, "RS204")
    ast.parse(after)
    assert after.count("await done()") == 2
    assert "nullcontext" not in after
    assert after.count("await replace(") == 2 * source.count("await replace(")
    assert repaired(folder, after, "RS204") == after
