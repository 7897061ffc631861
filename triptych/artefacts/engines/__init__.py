"""What runs a loaded model: PyTorch or ONNX Runtime behind one contract."""
