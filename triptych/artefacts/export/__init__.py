"""Writes bundles: ONNX graphs, an encoder in integers, the model card and its pictures."""
