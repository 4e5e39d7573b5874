"""The code that made the vectors; formats/make_vectors.py runs it.

``assemble`` packs records, ``tiny_models`` makes models, and ``coding`` codes images with them. The
packages ``good`` and ``refused`` hold the vectors, one module for each clause of aez.md.
"""
