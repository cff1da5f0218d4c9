"""Samples of a stream in order, each once: runs, missing samples, retransmit requests. No input or output."""
