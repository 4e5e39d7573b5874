"""Model files: parts, fingerprints, and where they are found."""
