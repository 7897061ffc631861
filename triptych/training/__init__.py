"""Training on Lightning: the two modules, their optimiser and schedule, checkpoints, and the story in `train.py`."""
