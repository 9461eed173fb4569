"""The stages' work in pieces that other processes do: shards of samples, merged to the bits of one pass."""
