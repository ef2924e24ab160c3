"""The processes: a supervisor that owns the socket, workers that serve it, and the metrics exporter.

``start`` begins, ``supervisor`` keeps ``worker`` processes alive; a worker runs ``milter``.
"""
