"""Text from files, shown so that it cannot play with the terminal it is shown on."""

from __future__ import annotations


def printable(text: str) -> str:
    r"""Text on one line, with escapes for what a terminal would obey or hide, e.g. ``\x1b`` or ``\n``.

    Letters of every script stay as they are.
    """
    if text.isprintable():
        return text
    return "".join(_shown(character) for character in text)


def printable_lines(text: str) -> str:
    """Text of several lines, each as :func:`printable` shows it: the one way by which text is shown.

    ``tests/test_showing.py`` finds ways around it.
    """
    return text if text.isprintable() else "\n".join(map(printable, text.split("\n")))


def _shown(character: str) -> str:
    # A no-break space is none of the characters that str.isprintable takes for printable, and harmless.
    if character.isprintable() or character == "\N{NO-BREAK SPACE}":
        return character
    return character.encode("unicode_escape").decode("ascii")
