"""The commands, one file each. ``cli`` declares their options."""
