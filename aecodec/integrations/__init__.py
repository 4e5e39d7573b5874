"""``.aez`` in other tools; each module imports its tool, and only when it is imported itself."""
