"""The bins of activations' summaries: eighths of an octave of the magnitude, with its sign.

They need no anchor, so that summaries of any samples add up exactly.
"""

OCTAVES, BINS_PER_OCTAVE, LOWEST_EXPONENT = 64, 8, -31
HALF = OCTAVES * BINS_PER_OCTAVE
BINS = 2 * HALF
"""Bins of values from zero up, then of negative ones; magnitudes below 2**-31 share the first of each."""
