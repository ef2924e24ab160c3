"""The laboratory for tests, demo and benchmarks: real servers, a scripted DNS server, a milter client.

Not shipped in the wheel.
"""
