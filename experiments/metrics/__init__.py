"""Numbers from raw records: intervals, staleness, totals, traffic."""
