"""The evaluation of SPF: the only owner of pyspf.

``engine`` is what a process and a connection hold; ``evaluator`` turns a Check into a Verdict.
"""
