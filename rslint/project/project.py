"""What one run knows of one project: its root, all its files, its configuration and its models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rslint.project.config import Config
from rslint.project.source import SourceFile

if TYPE_CHECKING:
    from rslint.models import Models


@dataclass(frozen=True)
class Project:
    """`files` are sorted by path; `overrides` replaces the bytes of some (stdin, fixes not yet written)."""

    root: Path
    files: tuple[SourceFile, ...]
    config: Config
    models: Models
    overrides: Mapping[Path, bytes] = field(default_factory=dict)
