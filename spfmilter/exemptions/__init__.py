"""Temporary exemptions: who is let in until when, in which store that is kept, and how a worker finds one in it."""
