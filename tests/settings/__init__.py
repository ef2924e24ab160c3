"""The INI file: its reader, its kinds of value, its errors, and the shipped one."""
