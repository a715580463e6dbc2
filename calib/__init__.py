"""`fdcn calibrate`: what a network's activations are on real trajectories, and how to quantise it."""
