"""A recording through the daemon's core, and its estimates as a file."""
