"""The live view: a collector of messages, a pure `render`, and the loop that joins them to a terminal."""
