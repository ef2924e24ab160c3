"""The laboratory: what tests, demo and benchmarks run against. Not shipped in the wheel.

Real servers, a scripted DNS server, a milter client.
"""
