"""Output that appears whole or not at all, URLs, and data of strangers."""
