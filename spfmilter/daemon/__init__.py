"""The processes: a supervisor that owns the socket, workers that serve it, and the metrics exporter.

``start`` starts the daemon. ``supervisor`` keeps ``worker`` processes alive. A worker runs ``milter``.
"""
