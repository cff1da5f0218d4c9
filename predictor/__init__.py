"""Hidden state on the move: the step engine, the daemon, the console and the command line."""
