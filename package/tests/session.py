"""Hold one SMTP session with a filter, as an MTA in the network of a root: `python -m package.tests.session ADDRESS`.

Prints a line when the filter has answered HELO, then one for the message of each sender that it reads from standard
input: the reply as JSON. Knows nothing about SPF.
"""

import json
import sys

from lab.milterclient import MilterClient
from lab.processes import patience

CLIENT = "192.0.2.1"


def main() -> None:
    """Hold the session until standard input ends."""
    with MilterClient(sys.argv[1], timeout=30 * patience()) as mta:
        print(json.dumps({"kind": mta.greet(CLIENT, "mail.example").kind}), flush=True)
        for line in sys.stdin:
            sender = line.strip()
            outcome = mta.deliver(
                f"<{sender}>", ["<b@example.net>"], [("From", sender), ("Subject", "Hello")], "Hello\n"
            )
            reply = outcome.reply
            print(json.dumps({"kind": reply.kind, "code": reply.code, "text": reply.text}), flush=True)
        mta.quit()


if __name__ == "__main__":
    main()
