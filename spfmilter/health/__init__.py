"""Find out whether the daemon is healthy, part by part, without ever waiting for long.

``probes`` lists the parts, and ``look`` asks for all of them at the same time. Each probe returns ``parts``, which
``output`` prints. It asks the socket, the servers and the files themselves; what only the daemon knows comes from its
status file (``daemon.statusfile``).
"""
