"""Weights on the move: the network, offline fitting, truncated BPTT, metrics. Knows no sockets."""
