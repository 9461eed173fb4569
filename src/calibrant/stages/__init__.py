"""The steps of a study, each a function from one value to the next."""
