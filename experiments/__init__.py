"""The harness: command line, configuration, launching, results, plots."""
