"""The journal: a database with a row for each decision, and the DNS answers from which a refusal was made."""
