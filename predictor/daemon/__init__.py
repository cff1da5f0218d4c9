"""The daemon's core: messages and the clock in, effects out. Knows no sockets."""
