"""Other uses of the same networks, training loop and model files: maps, generation, denoising."""
