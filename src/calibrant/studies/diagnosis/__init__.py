"""Why calibrators lose: the tensors, the layers, the images, and what can be done about it."""
