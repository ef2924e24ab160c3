"""What is released: built by ``make packages`` into dist/, and tested by ``make test-packages`` where it is installed.

Not shipped in the wheel.
"""
