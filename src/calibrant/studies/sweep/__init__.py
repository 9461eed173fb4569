"""Sweeps: models x datasets x schemes x runtimes, each a study of all calibrators."""
