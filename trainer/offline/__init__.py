"""Fitting a model's weights offline. The only room that imports torch."""
