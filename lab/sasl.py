"""A server of Dovecot's authentication protocol: smtpd asks it who may log in to the private Postfix.

It knows the protocol's handshake, the mechanism PLAIN (RFC 4616) and one password. It knows no users: any name goes.
"""

import socketserver
from base64 import b64decode

from lab.server import ThreadServer

# Dovecot Authentication Protocol 1.1: what a server says first, each field behind a tab.
_HELLO = b"VERSION\t1\t1\nMECH\tPLAIN\tplaintext\nSPID\t1\nCUID\t1\nCOOKIE\t0123456789abcdef0123456789abcdef\nDONE\n"


class Logins(ThreadServer):
    """The server, on a free port of 127.0.0.1. `main_cf` has the parameters with which a Postfix uses it."""

    def __init__(self, password: str) -> None:
        super().__init__(_Conversation)
        self.password = password

    @property
    def main_cf(self) -> dict[str, str]:
        """Return the parameters for Postfix's main.cf."""
        return {
            "smtpd_sasl_auth_enable": "yes",
            "smtpd_sasl_type": "dovecot",
            "smtpd_sasl_path": f"inet:127.0.0.1:{self.port}",
        }


class _Conversation(socketserver.StreamRequestHandler):
    """Serve one smtpd process, which keeps the connection open."""

    def handle(self) -> None:
        assert isinstance(self.server, Logins)
        self.wfile.write(_HELLO)
        for line in self.rfile:
            command, *fields = line.decode().rstrip("\n").split("\t")
            if command != "AUTH":
                continue  # VERSION and CPID need no answer
            number, _mechanism, *parameters = fields
            response = next(p.removeprefix("resp=") for p in parameters if p.startswith("resp="))
            _, user, password = b64decode(response).decode().split("\0")
            answer = f"OK\t{number}\tuser={user}\n" if password == self.server.password else f"FAIL\t{number}\n"
            self.wfile.write(answer.encode())
