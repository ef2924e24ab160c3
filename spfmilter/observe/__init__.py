"""What others see of the daemon's work: the log, and later metrics, journal and reports."""
