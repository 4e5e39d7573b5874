"""Figures and a page, drawn from a bench's JSON alone."""
