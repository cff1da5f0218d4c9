"""Recordings: one module a file format, and one way to read them all block by block."""
