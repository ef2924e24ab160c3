"""``python -m spfmilter`` is the console script."""

from spfmilter.cli import main

main()
