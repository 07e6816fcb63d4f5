"""What a forked child has to forget."""

import os
import weakref
from collections.abc import Callable


def call_in_child(method: Callable[[], None]) -> None:
    """Call a bound method in every forked child, as long as its object lives. Threads and locks are not inherited."""
    weak = weakref.WeakMethod(method)
    os.register_at_fork(after_in_child=lambda: (bound := weak()) and bound())
