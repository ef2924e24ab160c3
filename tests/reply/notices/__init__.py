"""Every notice that there is, in every language, as a file that people can read: one for each language, beside this.

`python -m tests.reply.notices` writes them anew, after a text has changed; the difference is to be read, not only kept.
"""
