"""The package version, alone in a module so that packaging can read it without imports."""

__version__ = "0.1.0"
