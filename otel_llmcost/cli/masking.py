"""Passwords out of what is shown."""

import re
from typing import Final

MASK: Final = "***"

# Greedy to the last `@` of the line: a password may itself hold `@`, `/`, quotes and spaces, and hiding too much is the
# safe side.
_IN_USERINFO: Final = re.compile(r"(://[^\s:@]*:).*(?=@)")
_IN_QUERY: Final = re.compile(r"([?&][^=&\s]*(?:password|secret|token|key)[^=&\s]*=)[^&\s]+", re.IGNORECASE)


def mask_passwords(text: str) -> str:
    """The text with the password of every URL in it replaced, in `user:password@` and in query parameters."""
    return _IN_QUERY.sub(rf"\1{MASK}", _IN_USERINFO.sub(rf"\1{MASK}", text))
