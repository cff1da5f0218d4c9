"""Retransmission: the history of what was published, the server that answers from it, and the journal on disk."""
