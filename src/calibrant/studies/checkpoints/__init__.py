"""Studies of checkpoints: every method and format in one reading of the weights."""
