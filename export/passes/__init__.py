"""Edits of an exported graph, one a file. Each takes an onnx_ir model, changes it in place and says whether it did."""
