"""Why calibrators lose: the tensors, the layers, the samples, and what can be done about it."""
