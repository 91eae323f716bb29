"""How arrays get from rank to rank: the contract in `base`, and the transports that keep it."""
