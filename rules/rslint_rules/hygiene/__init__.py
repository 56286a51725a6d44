"""RS9: what rslint says about its own run."""
