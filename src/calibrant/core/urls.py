"""What a URL holds that nobody else should read: its password, and whatever its query says."""

from __future__ import annotations

from urllib.parse import unquote

_HIDDEN = "***"
_SHORTEST = 3
"""Characters; shorter words of a query stand in too many others to be hidden, and hide no secret."""


def secrets_of(url: str) -> tuple[str, ...]:
    """The password and the values of the query, as they are written and as they are meant.

    The longest come first, so that none is hidden in parts only.
    """
    _, _, rest = url.partition("://")
    authority, _, place = rest.rpartition("@")
    query = place.partition("?")[2].partition("#")[0]
    written = [authority.partition(":")[2], *(part.partition("=")[2] for part in query.split("&"))]
    # What stands between two @ is of a password in which they should have been escaped.
    written += [piece for piece in written[0].split("@") if "@" in written[0]]
    found = {form for word in written for form in (word, unquote(word)) if len(form) >= _SHORTEST}
    return tuple(sorted(found, key=lambda secret: (-len(secret), secret)))


def without_secrets(text: str, url: str) -> str:
    """A text about a URL, the URL itself among them, without what it hides."""
    for secret in secrets_of(url):
        text = text.replace(secret, _HIDDEN)
    return text
