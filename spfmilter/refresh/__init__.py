"""Corrected records: let a daemon forget what it knew of a domain once the sender's case passes again.

The help page hands the signed link's token to the daemon of its host, and daemons hand it to each other. A daemon
believes nothing but the signature, and evaluates the case itself (docs/decisions/0068-refresh.md).
"""
