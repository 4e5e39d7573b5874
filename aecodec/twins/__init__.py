"""Float twins of the decoding networks: the encoder, what is trained, what a search descends."""
