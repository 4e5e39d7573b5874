"""Images to one chunk and back, under a target."""
