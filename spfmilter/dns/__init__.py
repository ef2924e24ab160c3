"""The DNS: packets, nameservers, questions in flight, the cache. The only owner of dnspython.

``resolver`` is what a process shares, ``channel`` what a connection asks through, ``answer`` what comes back.
"""
