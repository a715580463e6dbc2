"""`fdcn bench`: what a bundle takes in time and memory here, and how close that is to the machine's limits."""
