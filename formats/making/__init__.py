"""How the vectors were made; see make_vectors.py."""
