"""What admin.py and admin_confluent.py say: a line for each thing that is wrong, a count at the end."""

import sys
import time


class Checks:
    def __init__(self):
        self._held = 0
        self._wrong = 0

    def equal(self, what, found, expected):
        if found == expected:
            self._held += 1
        else:
            self._wrong += 1
            print(f"{what}: found {found!r} where {expected!r} belongs", file=sys.stderr)

    def refused(self, what, error, call):
        """`call` must raise `error`, an exception's class."""
        try:
            found = call()
        except error:
            self._held += 1
        except Exception as other:
            self.equal(what, repr(other), error.__name__)
        else:
            self.equal(what, found, error.__name__)

    def becomes(self, what, expected, look, deadline_s=15):
        """`look` must return `expected` before the deadline; it is asked again until then."""
        until = time.monotonic() + deadline_s
        found = look()
        while found != expected and time.monotonic() < until:
            time.sleep(0.05)
            found = look()
        self.equal(what, found, expected)

    def exit_code(self):
        if self._wrong:
            return 1
        print(f"ok {self._held} checks")
        return 0
