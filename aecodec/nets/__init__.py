"""The decoding networks, in exact integers alone: they say what a file means."""
