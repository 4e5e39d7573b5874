"""Layer L at work: images to latents, to symbols, to payloads, and back."""
