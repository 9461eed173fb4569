"""Strategies that turn a tensor's statistics into a range; pure functions, one strategy a file."""
