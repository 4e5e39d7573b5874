"""``aecodec view``: what a file holds as one HTML page that needs nothing else."""
