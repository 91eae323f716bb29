"""The benchmark: exchanges alone, verified, timed in turns, beside the limits of the machine."""
