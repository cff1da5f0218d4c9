"""One step of a model over the channels of streams, in NumPy, and the time scale it runs at."""
