"""Images to the parts of a model."""
