"""The commands, as an administrator runs them."""
