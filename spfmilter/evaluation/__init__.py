"""The evaluation of SPF: the only owner of pyspf.

A process and each of its connections hold objects of ``engine``. ``evaluator`` turns a Check into a Verdict.
"""
