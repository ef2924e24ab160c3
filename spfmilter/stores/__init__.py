"""What the stores of exemptions and of requests have in common, by the kind of store."""
