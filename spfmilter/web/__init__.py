"""The help page for refused senders, ``spfmilter web``. Optional: it needs the libraries of the extra ``[web]``."""
