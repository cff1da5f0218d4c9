"""A source: a signal, at its own pace, published as one run that can be asked for again."""
