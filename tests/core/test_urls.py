"""A URL's secrets are told to nobody."""

from __future__ import annotations

import pytest

from calibrant.core.urls import secrets_of, without_secrets

SECRETS = {
    "postgresql://u:s3cret@host/db": ["s3cret"],
    "postgresql://u:s3@cret@host/db": ["s3@cret", "cret"],
    "postgresql://u:s3%40cret@host/db": ["s3@cret", "s3%40cret"],
    "postgresql://u:s3/cret#1@host:5/db": ["s3/cret#1"],
    "postgresql://u@host/db?password=s3cret&sslpassword=other": ["s3cret", "other"],
    "http://host:5000?token=s3%2Fcret": ["s3/cret", "s3%2Fcret"],
}


@pytest.mark.parametrize(("url", "secrets"), SECRETS.items())
def test_they_are_hidden_wherever_they_stand(url: str, secrets: list[str]) -> None:
    for secret in secrets:
        shown = without_secrets(f"{url} says: could not use {secret!r}", url)
        assert secret not in shown
        assert "says: could not use" in shown


@pytest.mark.parametrize(
    "url", ["http://localhost:5000", "sqlite:///runs.sqlite", "postgresql://u@host/db", "runs"]
)
def test_a_url_without_secrets_stays(url: str) -> None:
    assert secrets_of(url) == ()
    assert without_secrets(f"{url} is gone", url) == f"{url} is gone"


def test_what_is_no_url_is_hidden_too() -> None:
    url = "postgresqr://u:p:secret@t=resqr]:/p:/u:a@b"  # urlsplit calls it an invalid IPv6 URL
    assert "secret" not in without_secrets(url, url)
