"""Models of several files: each part studied while the others run in float, then all of them together."""
