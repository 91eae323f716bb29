"""The parameter server: workers push gradients and pull parameters; servers own them, shard by shard."""
