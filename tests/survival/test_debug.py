"""`[log] level = debug`: what an administrator sees of a message that was refused."""

from lab.daemon import SpfmilterDaemon
from tests.survival.site import FAIL, NameServer, ask, inet_socket, ini


def test_lookups_plan_and_verdicts_of_a_message(dns: NameServer) -> None:
    address = inet_socket()
    with SpfmilterDaemon(ini(address, dns.address, log="level = debug")) as daemon:
        assert ask(address, FAIL) == "550"
        daemon.wait_for_log(
            "debug: lookup name=fail.example type=TXT outcome=data "
            r'answers="v=spf1 ip4:198\.51\.100\.1 -all" ttl=300 ms='
        )
        daemon.wait_for_log(
            r"(?s)debug: plan client=192\.0\.2\.1 .* checks=helo:\S+,mailfrom:fail.example\n"
            r".*debug: verdict result=fail identity=mailfrom domain=fail.example term=-all .*\n"
            r".* message client=192\.0\.2\.1 .* action=reject "
        )


def test_at_the_level_info_there_is_none_of_it(dns: NameServer) -> None:
    address = inet_socket()
    with SpfmilterDaemon(ini(address, dns.address)) as daemon:
        assert ask(address, FAIL) == "550"
        daemon.wait_for_log(" action=reject ")
        assert "debug" not in daemon.log()
