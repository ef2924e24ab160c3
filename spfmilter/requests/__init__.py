"""Requests of refused senders to the administrator, asked on the help page: the value, its stores, and the mails."""
