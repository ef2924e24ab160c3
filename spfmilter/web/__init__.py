"""The help page for refused senders, ``spfmilter web``: on request only, with the libraries of the extra ``[web]``."""
