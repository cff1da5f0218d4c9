"""The bank of resonators through which a gated model hears a signal, in NumPy, and the features made of it."""
