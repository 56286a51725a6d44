"""Compare the files in the built wheels with the tree: a file that is missing from a wheel is missing for users.

python .ci/compare_wheels.py WHEELS TREE
"""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

# The folders whose files a wheel holds, and where they lie in it.
PACKAGES = {
    "rslint": {"rslint/": "rslint/", "rules/rslint_rules/": "rslint_rules/", "fixtures/": "rslint/fixtures/"},
    "rslint_runtime": {"runtime_shim/rslint_runtime/": "rslint_runtime/"},
}


def in_the_tree(folders: dict[str, str], tree: Path) -> set[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=tree, capture_output=True, text=True, check=True)
    return {
        inside + name[len(folder) :]
        for folder, inside in folders.items()
        for name in listed.stdout.splitlines()
        if name.startswith(folder)
    }


def in_the_wheel(wheel: Path) -> set[str]:
    return {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}


def main(wheels: Path, tree: Path) -> int:
    failed = False
    for distribution, folders in PACKAGES.items():
        (wheel,) = wheels.glob(f"{distribution}-*.whl")
        wanted, found = in_the_tree(folders, tree), in_the_wheel(wheel)
        failed |= wanted != found
        for name in sorted(wanted ^ found):
            print(f"{wheel.name}: {'missing' if name in wanted else 'not in the tree'}: {name}")
        print(f"{wheel.name}: {len(found)} files")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
