"""Code that several tests use: builders of messages, real commands, networks and disks that fail."""
