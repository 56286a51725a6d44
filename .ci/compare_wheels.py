"""Compare the files in the built wheels with the tree: a file that is missing from a wheel is missing for users."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

PACKAGES = {
    "rslint-": ("rslint/", "rules/rslint_rules/"),
    "rslint_runtime-": ("runtime_shim/rslint_runtime/",),
}


def main(wheels: Path, tree: Path) -> int:
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=tree, capture_output=True, text=True, check=True
    ).stdout.split("\n")
    failed = False
    for prefix, folders in PACKAGES.items():
        (wheel,) = wheels.glob(f"{prefix}*.whl")
        inside = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
        wanted = set()
        for folder in folders:
            base = folder.rstrip("/").rpartition("/")[0]
            wanted |= {name[len(base) + 1 if base else 0 :] for name in tracked if name.startswith(folder)}
        for name in sorted(wanted ^ inside):
            failed = True
            print(f"{wheel.name}: {'missing' if name in wanted else 'not in the tree'}: {name}")
        print(f"{wheel.name}: {len(inside)} files")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
