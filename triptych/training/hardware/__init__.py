"""What a run computes on: devices, processes, precision and compilation."""
