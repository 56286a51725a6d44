"""Model files of a project: what they add, and the one line that tells what is wrong with them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rslint.models import ModelError, agreement_decorator, collective_of, load_models, raising, rank_predicate
from rslint.models.load import built_in_files, read_model_file

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "models.md"


def write(folder: Path, text: str) -> Path:
    path = folder / "my_models.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_project_adds_its_own(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
        [[collective]]
        names = ["ours.comms.share"]
        parameters = ["value", "root", "team"]
        group = "team"
        agrees = ["result"]

        [[receiver]]
        kind = "process-group"
        names = ["*_team"]

        [[agreement]]
        decorators = ["same_everywhere"]

        [[rank_predicate]]
        patterns = ["am_i_boss"]
        boolean = true

        [[raising]]
        kind = "rpc"
        names = ["ours.manager.call"]
        exceptions = ["ours.ManagerError"]

        [[exception]]
        names = ["ours.ManagerError"]
        bases = ["RuntimeError"]
        """,
    )
    models = load_models((path,))
    share = collective_of(models, "ours.comms.share", "comms.share")
    assert share is not None
    assert (share.kind, share.group_position) == ("share", 2)
    assert collective_of(models, None, "self.fast_team.all_reduce") is not None
    assert agreement_decorator(models, "same_everywhere")
    assert rank_predicate(models, "am_i_boss", None) is not None
    reason = raising(models, "ours.manager.call", "manager.call", (), frozenset())
    assert reason is not None
    assert reason.exceptions == ("ours.ManagerError",)
    assert models.exception_bases["ours.ManagerError"] == ("RuntimeError",)
    assert collective_of(load_models(), "ours.comms.share", "comms.share") is None


def test_a_project_overrides_what_is_built_in(tmp_path: Path) -> None:
    path = write(tmp_path, '[[collective]]\nnames = ["torch.distributed.barrier"]\nkind = "our_barrier"\n')
    barrier = collective_of(load_models((path,)), "torch.distributed.barrier", "dist.barrier")
    assert barrier is not None
    assert barrier.kind == "our_barrier"


@pytest.mark.parametrize(
    ("text", "line", "fragment"),
    [
        ("[[collective]\n", 1, "not valid TOML"),
        ('[[collective]]\nnames = ["a.b"]\ngruop = "x"\n', 3, "unknown key `gruop`"),
        ('[[colective]]\nnames = ["a.b"]\n', 1, "unknown key `colective`"),
        ('[[collective]]\nnames = "a.b"\n', 2, "Expected `array`"),
        ('[[collective]]\nnames = ["a.b"]\n\n[[collective]]\nnames = [1]\n', 5, "Expected `str`"),
        ('[[raising]]\nkind = "weather"\nnames = ["a.b"]\n', 2, "weather"),
        ('[[raising]]\nkind = "rpc"\nstrength = 9\nnames = ["a.b"]\n', 3, "<= 5"),
        ('[[raising]]\nnames = ["a.b"]\n', 1, "missing required field `kind`"),
        ('[collective]\nnames = ["a.b"]\n', 1, "Expected `array`"),
        ('[[collective]]\nmethods = ["go"]\non = ["nothing"]\n', None, "unknown receiver kind `nothing`"),
        ('[[collective]]\nnames = ["a.*"]\n', None, "does not end in a plain name"),
        ('[[collective]]\ngroup = "g"\n', None, "without `names`"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    tmp_path: Path, text: str, line: int | None, fragment: str
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ModelError) as caught:
        load_models((path,))
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{path}:{line}:" if line else f"{path}:")
    assert fragment in message


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"check `models` in \[tool\.rslint\]"):
        load_models((tmp_path / "missing.toml",))
    broken = tmp_path / "broken.toml"
    broken.write_bytes(b"\xff\xfe")
    with pytest.raises(ModelError, match="not UTF-8"):
        load_models((broken,))


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_a_model_file_or_a_model_error(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.mktemp("models") / "any.toml"
    path.write_bytes(text.encode("utf-8", "replace"))
    try:
        read_model_file(path)
        message = ""
    except ModelError as error:
        message = str(error)
    assert "\n" not in message


def test_the_built_in_files_fit_together(tmp_path: Path) -> None:
    assert len(built_in_files()) > 10
    assert load_models().collective_names >= {"all_reduce", "new_group", "wait_for_everyone", "rank_guard"}


def test_every_key_of_the_schema_is_documented() -> None:
    text = DOCUMENTATION.read_text(encoding="utf-8")
    from rslint.models import schema

    for field, table in schema.ModelFile.__annotations__.items():
        assert f"[[{field}]]" in text or f"[{field}]" in text, field
        name = re.search(r"(\w+Table|Calls)", str(table))
        for key in getattr(schema, name[1]).__struct_fields__ if name else ():
            assert f"`{key}`" in text, f"{field}.{key}"


def test_the_examples_of_the_documentation_load(tmp_path: Path) -> None:
    blocks = re.findall(r"```toml\n(\[\[.*?)```", DOCUMENTATION.read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        load_models((write(tmp_path, block),))
