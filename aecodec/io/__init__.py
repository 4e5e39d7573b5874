"""Output that appears whole or not at all, files named by a URL, and bytes of others."""
