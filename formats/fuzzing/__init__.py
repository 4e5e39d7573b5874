"""Fuzzes every reader of files; formats/fuzz.py runs it."""
