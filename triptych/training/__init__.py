"""Training with Lightning: modules, optimiser, schedule and checkpoints; `train.py` is the entry point."""
