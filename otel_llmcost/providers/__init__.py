"""Providers at the wire: who sells (`sellers`), where they are reached (`endpoints`), one file per wire format.

`formats` is the table of wire formats; a new one is a row there and a file beside it.
"""
