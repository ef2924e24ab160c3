"""Add to a refusal's notice what the verdict lacks: clues to the client, the sender's languages, and the link.

Knows when these are wanted, and the time of day. Used for refused messages only: the clues cost DNS lookups, the link a
signature.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from spfmilter.evaluation.engine import Inquiry
from spfmilter.evaluation.senderlanguages import sender_languages
from spfmilter.evaluation.suggestion import clues_of
from spfmilter.model import Facts, Result, Verdict
from spfmilter.reply import Extras
from spfmilter.settings import Settings
from spfmilter.settings.names import AUTO

if TYPE_CHECKING:
    from spfmilter.helplink.token import Signer


# Characters. A line of a reply has 480 bytes, and there are words before the link.
_MAX_LINK = 360


class Refusals:
    """Find the extras of refusals, for all connections of a process."""

    def __init__(self, settings: Settings, signer: Signer | None) -> None:
        self._settings, self._signer = settings, signer

    def extras(self, inquiry: Inquiry, verdict: Verdict, facts: Facts, case: str) -> Extras:
        """Return the extras for the notice of one refused message, whose case id is ``case``."""
        suggest = self._settings.reply.suggest_services
        clues = clues_of(verdict, facts, inquiry, self._settings.own_services, suggest=suggest)
        return Extras(
            clues=clues,
            link=self._link(verdict, clues.client_name, case),
            case=case,
            languages=sender_languages(verdict, facts, inquiry) if AUTO in self._settings.reply.languages else (),
        )

    def _link(self, verdict: Verdict, client_name: str, case: str) -> str:
        url, check = self._settings.reply.help_url, verdict.check
        if url is None or self._signer is None or not check.domain or check.record or verdict.result is Result.PASS:
            return ""  # the page shows what is in the DNS: nothing here, or not what decided
        from spfmilter.helplink.token import Case  # noqa: PLC0415 - as in open_signer

        signed = Case(
            address=check.address,
            identity=check.identity,
            domain=check.domain,
            result=verdict.result,
            time=int(time.time()),
            id=case,
            client_name=client_name,
            helo=check.helo,
        )
        link = url.fill({"token": self._signer.sign(signed)})
        return link if len(link) <= _MAX_LINK else ""  # a long domain of unusual characters


def open_signer(settings: Settings) -> Signer | None:
    """Return the signer of help page links, with the secrets of ``[web] secret_file``; None if there is no page.

    Raises:
        SecretError: the secrets cannot be read or created.
    """
    if settings.reply.help_url is None:
        return None
    # Imported here: itsdangerous is needed only for a help page.
    from spfmilter.helplink.secretfile import load_secrets  # noqa: PLC0415
    from spfmilter.helplink.token import Signer  # noqa: PLC0415

    return Signer(load_secrets(Path(settings.web.secret_file)))
