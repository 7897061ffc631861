"""The collapse guard: signs, diagnoses, and the callback that computes them."""
