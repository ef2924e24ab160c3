"""Translate between libmilter and a session. The only owner of pymilter."""
