"""Build what is published of spfmilter, and test each artefact in a Debian that has never seen it.

None of it is installed with spfmilter.
"""
