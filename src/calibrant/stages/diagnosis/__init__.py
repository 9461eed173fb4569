"""What a diagnosis computes: errors of ranges and weights, layers by themselves, swaps, causes."""
