"""Image sets to files and back. Imports nothing: ``aecodec info`` starts on bare Python."""
