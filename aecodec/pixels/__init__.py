"""Layer R at work: images to planes, to payloads, and back."""
