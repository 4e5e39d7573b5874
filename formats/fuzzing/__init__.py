"""Fuzzing of everything that reads bytes of others; see fuzz.py."""
