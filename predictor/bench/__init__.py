"""How fast this machine is: the predictor beside a bare echo, and the engine by itself."""
