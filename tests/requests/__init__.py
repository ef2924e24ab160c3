"""The requests of refused senders."""
