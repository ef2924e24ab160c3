"""The signed link from a notice to the help page: the token, its secrets, and the signer."""
