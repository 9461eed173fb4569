"""`calibrant optimize`: the best quantized model, and what each point of accuracy costs."""
