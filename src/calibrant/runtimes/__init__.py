"""What runs models; one vendor a file, imported only when asked for."""
