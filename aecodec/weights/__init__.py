"""The bundled models and the demo's sample images; see README.md in this folder."""
