"""Do the calibration samples represent what the model will see: summaries, distances, selection."""
