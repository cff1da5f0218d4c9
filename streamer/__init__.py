"""Samples on the move: time, waveforms, messages and sockets. Knows no network and no learning."""
