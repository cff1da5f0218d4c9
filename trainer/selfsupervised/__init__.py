"""Learning on the signal itself: labels from its own past, a read-out, and the guard that decides who serves."""
