"""Images, files and calibration samples: what tasks share."""
