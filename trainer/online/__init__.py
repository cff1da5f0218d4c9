"""Learning from targets as they come: truncated back-propagation through time, and the gradients it takes."""
