"""Records that a rank writes: step records, events, sample ledger, trace buffer, stage clock."""
