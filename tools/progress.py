"""Counts that show that a long step moves."""

import typing

STEP = 50  # from one line to the next where there is no terminal


class Count:
    """A count that is written over on a terminal, and said now and then elsewhere."""

    def __init__(self, out: typing.TextIO) -> None:
        self.out = out
        self.terminal = out.isatty()
        self.said = None

    def say(self, number: int, what: str) -> None:
        """Show `number` and what it counts; without a terminal, each 50th of them."""
        if self.terminal:
            self.out.write(f"\r\033[K{number} {what}")
        elif (what, number // STEP) != self.said:
            self.said = what, number // STEP
            self.out.write(f"{number} {what}\n")
        self.out.flush()

    def end(self) -> None:
        """Take the last count off a terminal."""
        if self.terminal:
            self.out.write("\r\033[K")
            self.out.flush()
