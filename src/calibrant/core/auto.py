"""A name that the command line needs before it loads anything else."""

from __future__ import annotations

AUTO = "auto"
"""The task, or the family, that a model is recognised to be of."""
