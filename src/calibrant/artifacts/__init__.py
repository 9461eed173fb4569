"""Files that Calibrant reads and writes."""
