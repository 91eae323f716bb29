"""The six stages of a training step, one file each, and `worker`, the loop that runs them for every strategy."""
