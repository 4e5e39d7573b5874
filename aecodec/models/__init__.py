"""Model files: their parts and fingerprints, and where models are found."""
