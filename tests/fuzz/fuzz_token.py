"""Any text in the help page's address is a case or no token; what we sign comes back as it was."""

from ipaddress import ip_address

from spfmilter.helplink.token import Case, Signer, TokenError, _case
from spfmilter.model import Identity, Result

SIGNER = Signer([b"first secret of the fuzzer", b"an older one"])
NOW = 1_800_000_000.0


def one_input(data: bytes) -> None:
    """A token as it stood in the URL, the payload of one that was signed, and a name to sign."""
    text = data.decode("utf-8", "surrogateescape")
    for token in (text, text.partition("\0")[0] + "." + "A" * 18):
        try:
            SIGNER.read(token, max_age=1e9, now=NOW)
        except TokenError:
            continue
        raise AssertionError("a signature was guessed")
    try:
        found = _case(data)
    except TokenError:
        pass
    else:
        assert isinstance(found.result, Result)
        assert isinstance(found.identity, Identity)
        assert found.domain.isascii()
    _signed(text)


def _signed(name: str) -> None:
    result = list(Result)[len(name) % len(Result)]
    for address in ("203.0.113.7", "2001:db8::7"):
        case = Case(address=ip_address(address), identity=Identity.HELO, domain=name, result=result, time=int(NOW))
        try:
            token = SIGNER.sign(case)
        except ValueError:
            continue
        read = SIGNER.read(token, max_age=1, now=NOW)
        assert (read.address, read.domain, read.result) == (case.address, name.lower(), result)
        assert len(token) < 400
        assert token.isascii()
