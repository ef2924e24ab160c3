"""The DNS: packets, nameservers, questions in flight, the cache. The only owner of dnspython.

A process has one ``resolver``. Each connection asks through its own ``channel``, and gets an ``answer``.
"""
