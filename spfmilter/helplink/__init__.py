"""The signed link from a notice to the help page: the token, its secret, and who signs it."""
