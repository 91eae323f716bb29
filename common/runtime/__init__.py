"""The surroundings of a rank: job, placement, rendezvous, status board, checkpoints."""
