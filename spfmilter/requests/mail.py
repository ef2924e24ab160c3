"""The mails about requests: a digest for the administrator, and the answer to a sender. Sent by the sendmail program.

Knows their texts. A mail has the null sender and an Auto-Submitted field (RFC 3834 section 5), so that no mail program
answers it and no bounce of it comes back. Decides nothing: who calls this has the administrator's order.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate, make_msgid

from spfmilter import language
from spfmilter.exemptions.when import utc
from spfmilter.requests.request import SenderRequest, State

# Of sendmail: a service has no PATH that names the first two. The last one is NixOS's.
_PLACES = "/usr/sbin:/usr/lib:/usr/bin:/sbin:/bin:/run/wrappers/bin"
_SECONDS = 30  # for the program, which hands the mail to the MTA
_MOST = 50  # requests in a digest
_PAUSE = 3600  # seconds between two digests, at least
_CATALOGUE = "web"  # the answer is in the language of the page on which it was asked for


def N_(text: str) -> str:  # noqa: N802 - gettext's name for it
    """Mark a text for the catalogue."""
    return text


_SUBJECT = N_("Your request about case %(case)s")
_GRANTED = N_(
    "The administrator of %(hostname)s has let your server %(address)s in until %(time)s. Send your message again."
)
_DECLINED = N_("The administrator of %(hostname)s has not let your server %(address)s in.")
_SAYS = N_("The administrator says:")


class MailError(Exception):
    """The mail cannot be sent. The message says why."""


def new_ones(requests: Sequence[SenderRequest], now: int) -> list[SenderRequest]:
    """Return the open requests that were in no digest, the oldest first; none within an hour after a digest.

    Args:
        requests: all that the store has.
        now: Unix seconds.
    """
    # A time that is yet to come is that of a wrong clock, or of a stranger, and must not keep all further ones back.
    if any(one.mailed is not None and now - _PAUSE < one.mailed <= now for one in requests):
        return []
    return sorted(
        (one for one in requests if one.mailed is None and one.state is State.OPEN), key=lambda one: one.asked
    )


def digest(new: Sequence[SenderRequest], to: str, hostname: str) -> EmailMessage:
    """Return the mail that lists new requests."""
    number = f"{len(new)} new request{'' if len(new) == 1 else 's'}"
    blocks = [f"Refused senders have asked to be let in at {hostname}, on the help page: {number}."]
    for one in new[:_MOST]:
        lines = (
            f"case    {one.case_id}, {one.domain} from {one.address}, {one.result}",
            f"asked   {utc(one.asked)}",
            f"says    {one.sentence}",
            f"answer  {one.answer_to}",
            f"look    spfmilter requests show {one.case_id}",
            f"let in  spfmilter requests grant {one.case_id}",
            f"or not  spfmilter requests decline {one.case_id}",
        )
        blocks.append("\n".join(lines))
    if len(new) > _MOST:
        blocks.append(f"{len(new) - _MOST} more: spfmilter requests list")
    blocks.append("The senders have written these texts, and not been checked. They get no answer from this mail.")
    return _message(to, to, f"{number} to be let in at {hostname}", "\n\n".join(blocks), hostname)


def answer(request: SenderRequest, sender: str, hostname: str) -> EmailMessage:
    """Return the mail that tells a sender the answer, in the language of the page; another one has English below.

    Args:
        request: with its answer.
        sender: the address in From.
        hostname: of the mail server.
    """
    tags = [request.language] if request.language in language.available(_CATALOGUE) else []
    parts = [_answer(request, hostname, tag) for tag in dict.fromkeys((*tags, language.SOURCE))]
    subject = language.language(tags[0] if tags else language.SOURCE, _CATALOGUE)(_SUBJECT)
    text = "\n\n-- \n\n".join(parts)
    return _message(sender, request.answer_to, subject % {"case": request.case_id}, text, hostname)


def _answer(request: SenderRequest, hostname: str, tag: str) -> str:
    told = language.language(tag, _CATALOGUE)
    values = {"hostname": hostname, "address": request.address, "time": utc(request.until)}
    text = told(_GRANTED if request.state is State.GRANTED else _DECLINED) % values
    return f"{text}\n\n{told(_SAYS)}\n{request.answer}" if request.answer else text


def _message(sender: str, to: str, subject: str, text: str, hostname: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = sender
    message["To"] = to
    message["Subject"] = subject
    message["Date"] = formatdate(localtime=True)
    message["Message-ID"] = make_msgid(domain=hostname)
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text + "\n", cte="quoted-printable")
    return message


def send(message: EmailMessage) -> None:
    """Hand a mail to the MTA of this host, for the one address in its To field.

    Raises:
        MailError: there is no sendmail program, or it takes the mail not, or not in time.
    """
    program = shutil.which("sendmail", path=_PLACES)
    if program is None:
        raise MailError(f"there is no sendmail program in {_PLACES}")
    command = [program, "-i", "-f", "<>", "--", str(message["To"])]
    data = message.as_bytes(policy=SMTP.clone(linesep="\n"))
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=_SECONDS, check=False, cwd="/")  # noqa: S603 - no shell
    except subprocess.TimeoutExpired:
        raise MailError(f"{program} has not taken the mail within {_SECONDS} s") from None
    except OSError as error:
        raise MailError(f"{program}: {error.strerror or error}") from None
    if done.returncode:
        said = " ".join(done.stderr.decode(errors="replace").split())[:200]
        raise MailError(f"{program} has not taken the mail (exit status {done.returncode}): {said}")
