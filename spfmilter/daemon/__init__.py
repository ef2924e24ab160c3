"""The daemon: the supervisor, its workers, and what keeps them running."""
