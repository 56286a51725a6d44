"""rslint finds and fixes what makes the ranks of a distributed Python program fall out of step."""

__version__ = "0.1.0"
