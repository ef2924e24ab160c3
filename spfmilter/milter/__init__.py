"""The milter: the only owner of pymilter.

``session`` is one connection without any I/O, ``callbacks`` translates between libmilter and it, ``worker`` runs
libmilter, ``listener`` makes the socket, ``notify`` tells systemd. (The supervisor of several workers comes here.)
"""
