"""Searching for a better quantized model: what is tried next, and which one is chosen.

Everything here decides by numbers that it is given and knows neither models nor runtimes.
"""
