"""The store of runs: an index of what runs found, in SQLite or PostgreSQL; their folders stay the truth."""
