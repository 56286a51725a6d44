"""Linking: each way a call is resolved, on the smallest project that shows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from rslint.project.links import Target
from tests.project.building import calls_in, links_of, target


def resolved(tmp_path: Path, files: dict[str, str], function: str, text: str) -> Target:
    return target(links_of(tmp_path, files), function, text)


@pytest.mark.parametrize(
    ("statement", "call"),
    [
        ("import torch.distributed as dist", "dist.all_reduce"),
        ("import torch.distributed", "torch.distributed.all_reduce"),
        ("from torch import distributed", "distributed.all_reduce"),
        ("from torch.distributed import all_reduce as reduce", "reduce"),
        ("import torch", "torch.distributed.all_reduce"),
    ],
)
@pytest.mark.parametrize("local", [False, True])
def test_aliases_of_an_external_function_come_out_under_its_full_name(
    tmp_path: Path, statement: str, call: str, local: bool
) -> None:
    text = (
        f"def f():\n    {statement}\n    {call}(x)\n" if local else f"{statement}\ndef f():\n    {call}(x)\n"
    )
    found = resolved(tmp_path, {"m.py": text}, "m:f", call)
    assert (found.external, found.functions, found.certainty) == ("torch.distributed.all_reduce", (), "exact")


def test_re_exports_are_followed_through_packages_and_stars(tmp_path: Path) -> None:
    files = {
        "pkg/__init__.py": "from .a import *\n",
        "pkg/a.py": "from .b import work\n",
        "pkg/b/__init__.py": "from pkg.b.c import work as work\n",
        "pkg/b/c.py": "from ...pkg.d import inner as work\n",
        "pkg/d.py": "def inner(): pass\n",
        "m.py": "import pkg as p\ndef f():\n    p.work()\n",
    }
    assert resolved(tmp_path, files, "m:f", "p.work").functions == ("pkg.d:inner",)


def test_import_cycles_end(tmp_path: Path) -> None:
    files = {
        "a.py": "from b import x\n",
        "b.py": "from a import x\n",
        "m.py": "from a import x\ndef f(): x()\n",
    }
    assert resolved(tmp_path, files, "m:f", "x").certainty == "none"


def test_a_missing_name_of_a_project_package_is_external(tmp_path: Path) -> None:
    files = {"pkg/__init__.py": "", "m.py": "from pkg._C import op\ndef f(): op()\n"}
    assert resolved(tmp_path, files, "m:f", "op").external == "pkg._C.op"


def test_a_nested_function_hides_the_module_function_of_its_name(tmp_path: Path) -> None:
    files = {"m.py": "def g(): pass\ndef f():\n    def g(): pass\n    def h(): g()\n    g()\n"}
    links = links_of(tmp_path, files)
    assert target(links, "m:f", "g").functions == ("m:f.g",)
    assert target(links, "m:f.h", "g").functions == ("m:f.g",)


def test_a_local_variable_hides_an_import_and_a_global_statement_shows_it(tmp_path: Path) -> None:
    files = {
        "m.py": "from os import path\ndef f(path): path.join()\ndef g():\n    global path\n    path.join()\n"
    }
    links = links_of(tmp_path, files)
    assert target(links, "m:f", "path.join").external is None
    assert target(links, "m:g", "path.join").external == "os.path.join"


HIERARCHY = {
    "base.py": """
        from abc import ABC, abstractmethod
        class Base(ABC):
            def run(self):
                self.step()
                self.only_here()
            @abstractmethod
            def step(self): ...
            def only_here(self): pass
            def kept(self): pass
        """,
    "left.py": """
        from base import Base as B
        class Left(B):
            def step(self): pass
            def kept(self):
                super().kept()
        """,
    "right.py": """
        import base
        class Right(base.Base):
            def step(self): pass
        class Leaf(Right): pass
        def use():
            right = Right()
            right.step()
            right.run()
            Leaf().step()
            Right.step(right)
        """,
}


def test_a_self_call_reaches_overriding_subclasses_and_leaves_the_abstract_method_out(tmp_path: Path) -> None:
    links = links_of(tmp_path, HIERARCHY)
    step = target(links, "base:Base.run", "self.step")
    assert step.functions == ("left:Left.step", "right:Right.step")
    assert step.certainty == "hierarchy"
    assert step.receiver_types == ("base:Base",)
    only = target(links, "base:Base.run", "self.only_here")
    assert (only.functions, only.certainty) == (("base:Base.only_here",), "exact")


def test_super_and_constructed_instances_are_exact(tmp_path: Path) -> None:
    links = links_of(tmp_path, HIERARCHY)
    assert target(links, "left:Left.kept", "super().kept").functions == ("base:Base.kept",)
    assert target(links, "right:use", "right.step").functions == ("right:Right.step",)
    assert target(links, "right:use", "right.step").certainty == "exact"
    assert target(links, "right:use", "right.run").functions == ("base:Base.run",)
    assert target(links, "right:use", "Leaf().step").functions == ("right:Right.step",)
    assert target(links, "right:use", "Right.step").functions == ("right:Right.step",)


def test_classes_know_their_order_and_their_descendants(tmp_path: Path) -> None:
    links = links_of(tmp_path, HIERARCHY)
    assert links.mro("right:Leaf") == ("right:Leaf", "right:Right", "base:Base", "abc.ABC")
    assert links.subclasses("base:Base") == ("left:Left", "right:Leaf", "right:Right")
    assert links.method("right:Leaf", "only_here") == "base:Base.only_here"
    assert links.method("right:Leaf", "absent") is None


def test_the_order_of_a_diamond_is_that_of_python(tmp_path: Path) -> None:
    text = "class A: pass\nclass B(A): pass\nclass C(A): pass\nclass D(B, C): pass\nclass E(E): pass\n"
    links = links_of(tmp_path, {"m.py": text})
    assert links.mro("m:D") == ("m:D", "m:B", "m:C", "m:A")
    assert links.mro("m:E") == ("m:E",)


def test_a_mixin_finds_the_methods_of_the_classes_it_is_mixed_into(tmp_path: Path) -> None:
    files = {
        "m.py": """
            class Mixin:
                def f(self): self.helper()
            class Host:
                def helper(self): pass
            class Both(Mixin, Host): pass
            """
    }
    assert resolved(tmp_path, files, "m:Mixin.f", "self.helper").functions == ("m:Host.helper",)


ATTRIBUTES = """
    from __future__ import annotations
    from typing import Optional, Union
    import requests
    class Client:
        def call(self): pass
    class Other:
        def call(self): pass
    class Holder:
        shared: "Client"
        made_at_class_level = Client()
        def __init__(self, parameter: Client, flag, session: requests.Session | None = None):
            self.made = Client()
            self.given = parameter
            self.either = Client() if flag else Other()
            self.default = flag or Other()
            self.declared: Optional[Union[Client, Other]] = None
            self.session = session
            self.many = [Client() for _ in flag]
            self.table: dict[str, Client] = {}
            self.chained = Wrapper(parameter)
        def late(self):
            self.set_late = Client()
        @property
        def view(self) -> Client: return self.made
        def f(self):
            self.ATTR.call()
    class Wrapper:
        def __init__(self, client: Client):
            self.client = client
    """


@pytest.mark.parametrize(
    ("attribute", "functions"),
    [
        ("made", ["Client"]),
        ("given", ["Client"]),
        ("either", ["Client", "Other"]),
        ("default", ["Other"]),
        ("declared", ["Client", "Other"]),
        ("shared", ["Client"]),
        ("made_at_class_level", ["Client"]),
        ("set_late", ["Client"]),
        ("view", ["Client"]),
        ("chained.client", ["Client"]),
        ("many[0]", ["Client"]),
        ("table['k']", ["Client"]),
        ("table.get('k')", ["Client"]),
        ("many.pop()", ["Client"]),
        ("absent", []),
    ],
)
def test_attributes_have_the_types_they_are_given(
    tmp_path: Path, attribute: str, functions: list[str]
) -> None:
    links = links_of(tmp_path, {"m.py": ATTRIBUTES.replace("ATTR", attribute)})
    found = [links.resolve("m:Holder.f", call) for call in calls_in(links, "m:Holder.f")]
    assert found[0].functions == tuple(f"m:{name}.call" for name in functions)


def test_an_attribute_of_an_external_type_gives_the_external_method(tmp_path: Path) -> None:
    text = ATTRIBUTES.replace("ATTR.call", "session.post")
    found = resolved(tmp_path, {"m.py": text}, "m:Holder.f", "self.session.post")
    assert found.external == "requests.Session.post"
    assert found.receiver_types == ("requests.Session",)


ATTACHED = """
    class Client:
        def call(self): pass
    class Other:
        def call(self): pass
    class Base: pass
    class Cache(Base):
        def __init__(self):
            attach(self)
        def f(self):
            self.client.call()
    class Unlike:
        def g(self):
            self.client.call()
    def attach(cache: Base):
        cache.client = Client()
    def attach_to_unlike(cache):
        cache.client = Other()
    """


def test_an_attribute_that_a_function_attaches_is_known(tmp_path: Path) -> None:
    """By the annotation of what is attached to; where nothing tells whose attribute it is, nothing is known."""
    assert resolved(tmp_path, {"m.py": ATTACHED}, "m:Cache.f", "self.client.call").functions == (
        "m:Client.call",
    )
    assert resolved(tmp_path, {"m.py": ATTACHED}, "m:Unlike.g", "self.client.call").functions == ()


@pytest.mark.parametrize(
    "text",
    [
        "class Held(holder.Base): pass\nholder = Held()\ndef f(one: Held): one.Base.call()\n",
        "class A(B.Base): pass\nclass B(A.Base): pass\ndef f(one: A): one.Base.call()\n",
        "class A: pass\nclass B(a.Base): pass\na = A()\ndef g(one: A): one.Base = B\ndef f(one: B): one.Base.call()\n",
    ],
)
def test_classes_whose_bases_hang_on_each_other_end(tmp_path: Path, text: str) -> None:
    assert resolved(tmp_path, {"m.py": text}, "m:f", "one.Base.call").functions == ()


LOCALS = """
    import contextlib, functools
    class Client:
        def call(self): pass
        def __enter__(self): return self
        def __call__(self): pass
        @classmethod
        def make(cls): return cls()
        @staticmethod
        def build() -> "Client": ...
    @contextlib.contextmanager
    def opened() -> "Iterator[Client]":
        yield Client()
    def made(): return Client()
    def nothing(): pass
    _GLOBAL = None
    def set_up():
        global _GLOBAL
        _GLOBAL = Client()
    def get() -> "Client | None": return _GLOBAL
    def get_untyped(): return _GLOBAL
    def both(): return 1, Client()
    def both_typed() -> "tuple[int, Client]": ...
    def f(client: Client, clients: "list[Client]"):
        BODY
    """


@pytest.mark.parametrize(
    "body",
    [
        "client.call()",
        "x = Client(); x.call()",
        "x: Client = other(); x.call()",
        "with Client() as x: x.call()",
        "with opened() as x: x.call()",
        "for x in clients: x.call()",
        "for i, x in enumerate(clients): x.call()",
        "[x.call() for x in clients]",
        "clients[0].call()",
        "made().call()",
        "get().call()",
        "get_untyped().call()",
        "_GLOBAL.call()",
        "Client.make().call()",
        "Client.build().call()",
        "if (x := made()): x.call()",
        "x, y = Client(), 1; x.call()",
        "y, x = both(); x.call()",
        "y, x = both_typed(); x.call()",
        "x = client.call; x()",
        "x = functools.partial(client.call, 1); x()",
        "getattr(client, 'call')()",
        "(client or 1).call()",
        "next(iter(clients)).call()",
    ],
)
def test_local_values_have_the_types_of_what_they_hold(tmp_path: Path, body: str) -> None:
    links = links_of(tmp_path, {"m.py": LOCALS.replace("BODY", body)})
    assert ("m:Client.call",) in [links.resolve("m:f", call).functions for call in calls_in(links, "m:f")]


def test_calling_a_class_constructs_and_calling_an_instance_calls(tmp_path: Path) -> None:
    links = links_of(tmp_path, {"m.py": LOCALS.replace("BODY", "client(); Client()")})
    assert target(links, "m:f", "client").functions == ("m:Client.__call__",)
    assert target(links, "m:f", "Client").constructs == "m:Client"


def test_the_constructor_of_a_class_is_its_inherited_init(tmp_path: Path) -> None:
    text = "class A:\n    def __init__(self): pass\nclass B(A): pass\ndef f(): B()\n"
    found = resolved(tmp_path, {"m.py": text}, "m:f", "B")
    assert (found.functions, found.constructs) == (("m:A.__init__",), "m:B")


def test_calling_a_module_of_torch_runs_forward(tmp_path: Path) -> None:
    text = "import torch.nn as nn\nclass N(nn.Module):\n    def forward(self): pass\ndef f(n: N): n()\n"
    assert resolved(tmp_path, {"m.py": text}, "m:f", "n").functions == ("m:N.forward",)


def by_name(tmp_path: Path, name: str, definitions: int) -> Target:
    classes = "".join(f"class C{i}:\n    def {name}(self): pass\n" for i in range(definitions))
    return resolved(tmp_path, {"m.py": f"{classes}def f(x): x.{name}()\n"}, "m:f", f"x.{name}")


def test_a_rare_method_name_is_resolved_by_name(tmp_path: Path) -> None:
    found = by_name(tmp_path, "synchronise_caches", 2)
    assert (found.functions, found.certainty) == (
        ("m:C0.synchronise_caches", "m:C1.synchronise_caches"),
        "name",
    )


@pytest.mark.parametrize(
    ("name", "definitions"),
    [("synchronise_caches", 3), ("short", 1), ("setdefault", 1), ("all_to", 3), ("popleft", 1)],
)
def test_common_or_short_names_are_never_resolved_by_name(
    tmp_path: Path, name: str, definitions: int
) -> None:
    found = by_name(tmp_path, name, definitions)
    assert (found.functions, found.certainty) == ((), "none")


def test_a_receiver_of_a_known_external_type_is_never_resolved_by_name(tmp_path: Path) -> None:
    text = "class C:\n    def create_request(self): pass\ndef f():\n    x = b''\n    x.create_request()\n"
    found = resolved(tmp_path, {"m.py": text}, "m:f", "x.create_request")
    assert (found.functions, found.external) == ((), "builtins.bytes.create_request")


def test_the_text_shows_calls_inside(tmp_path: Path) -> None:
    text = "def f(): get_tp_group().device[0].all_reduce(x)\n"
    links = links_of(tmp_path, {"m.py": text})
    assert links.resolve("m:f", next(calls_in(links, "m:f"))).text == "get_tp_group().device[…].all_reduce"


USES = {
    "m.py": """
        FLAG = 1
        class C:
            def __init__(self):
                self.table = {1: self._handle}
                Thread(target=self._loop)
            def _handle(self): self.queue.append(1)
            def _loop(self):
                del self.items[0]
                self.count += 1
                for self.current in self._handle(): pass
            def quiet(self):
                value = self.queue
                value.append(2)
        def reset():
            global FLAG
            FLAG = 2
        def hidden(FLAG): FLAG = 3
        """
}


def test_an_attribute_is_mentioned_although_a_local_has_its_name(tmp_path: Path) -> None:
    links = links_of(
        tmp_path,
        {"m.py": "def f(segment):\n    with segment.buf[1:] as buf:\n        return buf, taken(buf)\n"},
    )
    assert links.mentioning("buf") == ("m:f",)
    assert links.mentioning("taken") == ()


def test_who_calls_who_mentions_who_stores(tmp_path: Path) -> None:
    links = links_of(tmp_path, USES)
    assert links.calling("_handle") == ("m:C._loop",)
    assert links.mentioning("_handle") == ("m:C.__init__",)
    assert links.mentioning("_loop") == ("m:C.__init__",)
    assert links.storing("queue") == ("m:C._handle",)
    assert links.storing("items") == ("m:C._loop",)
    assert links.storing("count") == ("m:C._loop",)
    assert links.storing("current") == ("m:C._loop",)
    assert links.storing("table") == ("m:C.__init__",)
    assert links.storing("FLAG") == ("m:", "m:reset")
