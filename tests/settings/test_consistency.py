"""Settings that go together, although they look as if they might not; those that do not are in ``bad/``."""

import pytest

from tests.values import settings


@pytest.mark.parametrize(
    "text",
    [
        "[reply]\ncontact = postmaster@{hostname}\n",
        "[reply]\ncontact = Abuse@example.net\n",
        "[reply]\ncontact = help@example.net\n[exempt]\nrecipients = help@example.net\n",
        "[reply]\ncontact = help@example.net\n[exempt]\nrecipients = @example.net\n",
        "[reply]\ncontact = help@{hostname}\n[exempt]\nrecipients = help@\n",
        "[reply]\ncontact = +44 20 7946 0000\n",
        "[reply]\ncontact = https://example.net/@help\n",
        "[reply]\ncontact = our postmaster, or help@example.com\n",
        "[reply]\ncontact = help@example.net\n[policy]\nreject_at = mail\n",
        "[exempt]\nrecipients =\n",
    ],
)
def test_a_contact_that_accepts_the_refused_sender_or_is_no_address_of_ours(text: str) -> None:
    assert settings(text)
