"""The sampler around the network: plans, noise, backends and pictures. Imports neither torch nor onnx."""
