"""What a predictor goes on from after a restart: checkpoints, decisions, published ends, retained estimates."""
