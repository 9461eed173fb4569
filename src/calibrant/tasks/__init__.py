"""What models are for: samples, predictions and scores."""
