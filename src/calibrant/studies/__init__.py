"""Planning and running a study: which trials, and what they gave."""
