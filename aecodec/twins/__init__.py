"""Float twins of the decoding networks, for training and search; and layer L's encoder."""
