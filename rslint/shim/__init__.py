"""The runtime library in one file, for projects that add no dependency: `rslint shim`."""
