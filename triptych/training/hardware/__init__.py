"""Hardware of a run: devices, processes, precision and compilation."""
