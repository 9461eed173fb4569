"""Do the calibration images represent what the model will see: summaries, distances, selection."""
