"""What every strategy shares: contracts, transports and the six-stage pipeline."""
