"""All-reduce strategies, one algorithm a file, and the adapter that makes a strategy of each."""
