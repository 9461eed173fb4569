"""Kinds of models: each reads its files, names their layers and runs them."""
