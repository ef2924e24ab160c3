"""What translates between libmilter and a session: the only owner of pymilter."""
