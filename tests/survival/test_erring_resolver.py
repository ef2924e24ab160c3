"""Our own resolver answers every question with an error: what the log and `spfmilter status` say, and when it ends."""

import re

from lab.daemon import SpfmilterDaemon
from lab.processes import until
from tests.survival.site import FAIL, ask, changed, inet_socket, ini, name_server
from tests.survival.test_status import awaited

SOON = {"dns.errors.LASTING": 1.0}  # seconds, not a minute
DOMAINS = [f"d{number}.example" for number in range(20)]
BROKEN = {name: [{"RCODE": "SERVFAIL"}] for name in ("example", "mail.example", "fail.example", *DOMAINS)}
BEGIN, END = "nameservers answer only with errors", "nameservers answer without errors again"


def test_a_resolver_that_answers_only_with_errors_is_reported_once_and_so_is_its_end() -> None:
    address = inet_socket()
    with name_server(BROKEN) as broken:
        port = int(broken.address.rpartition(":")[2])
        text = ini(address, broken.address, dns="cache_entries = 0", policy_mailfrom="temperror = defer")
        with SpfmilterDaemon(text, command=changed(SOON)) as daemon:

            def is_reported() -> bool:
                assert {ask(address, f"<a@{name}>") for name in DOMAINS} == {"451"}
                return BEGIN in daemon.log()

            until(is_reported, 30, "the errors have come for long enough")
            said = rf"error: {BEGIN} nameservers=127.0.0.1:{port} reason=SERVFAIL seconds=\d+ fix=\"let the nameserver"
            assert re.search(said, daemon.log()), daemon.log()
            awaited(daemon, lambda found: "the workers have had only errors for" in found.text("resolver"))
            broken.stop()
            with name_server(port=port):
                assert ask(address, FAIL) == "550"
                daemon.wait_for_log(rf" {END} nameservers=127.0.0.1:{port} seconds=\d+")
                awaited(daemon, lambda found: "only errors for" not in found.text("resolver"))
                assert daemon.stop() == 0
            assert daemon.log().count(BEGIN) == 1
            # Two, if two workers have seen the end in the same instant (docs/decisions/0051-shared-silence.md).
            assert 1 <= daemon.log().count(END) <= 2
