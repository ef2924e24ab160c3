"""spfmilter: an SPF milter that tells the refused sender why, and what to change.

The folder listing is the architecture; ``docs/flow.md`` follows one transaction through it.
"""

__version__ = "0.1.0"
