"""The report on what the journal holds: totals, trend, and findings with the command that acts on each."""
