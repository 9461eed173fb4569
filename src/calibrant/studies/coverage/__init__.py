"""Is the calibration set any good? Does it represent, how many samples are enough, and which ones."""
