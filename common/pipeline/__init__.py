"""The worker's six stages, one file each in the book's order, and `worker`, the loop that everybody shares."""
