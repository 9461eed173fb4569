"""The vocabulary and the arithmetic everything else is built on; numpy only."""
