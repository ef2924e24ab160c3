"""What the commands do: one file a command. ``cli`` declares their options."""
