"""What a rank writes down: step records, sample ledger, trace buffer, stage clock."""
