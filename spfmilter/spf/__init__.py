"""RFC 7208's grammar and the mail services: records, macros, and whose servers a term names. Pure, without pyspf."""
