"""Mending a float model so that it quantizes better: a pass a file, each gives a new model and an account.

Passes are pure and repeat to the bit: the same model, numbers and settings give the same graph. What they
return is a float model like any other, to be calibrated and given Q/DQ as usual.
"""
