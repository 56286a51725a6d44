"""Puts the fixtures, which lie beside the packages, into the wheel: `rslint prove` runs them where it is installed."""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

FIXTURES = Path(__file__).parent / "fixtures"


class WithFixtures(build_py):
    """An editable install finds them where they lie."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib) / "rslint" / "fixtures"
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(FIXTURES, target, ignore=shutil.ignore_patterns("__pycache__"))


setup(cmdclass={"build_py": WithFixtures})
