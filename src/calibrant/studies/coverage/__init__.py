"""Is the calibration set any good? Does it represent, how many images are enough, and which ones."""
