"""ZeroMQ: sockets, keys, connections and their limits. Messages go in and out, never bytes."""
