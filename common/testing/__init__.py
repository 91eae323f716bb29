"""The conformance suite: checks that hold a strategy to its traits."""
