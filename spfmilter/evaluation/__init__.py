"""The evaluation of SPF: the only owner of pyspf and dnspython.

``evaluator`` turns a Check into a Verdict with pyspf's query class as its skeleton; ``record`` and ``macros`` are the
grammar; ``lookups`` asks the DNS and ``wire`` is its packets; ``answer`` is what comes back.
"""
