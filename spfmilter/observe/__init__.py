"""Show the daemon's work to the administrator: the log and the metrics."""
