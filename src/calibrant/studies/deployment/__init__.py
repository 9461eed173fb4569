"""Handing a run's model over to where it is deployed."""
