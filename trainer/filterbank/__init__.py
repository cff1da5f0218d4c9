"""Filter bank of a gated model, in NumPy, and the features made of its outputs."""
