"""Inference engines for a loaded model: PyTorch or ONNX Runtime with the same interface."""
