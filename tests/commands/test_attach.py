"""``spfmilter attach``: what an MTA has to be told, and telling Postfix really."""

import json
import os
import re
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lab import postfix as lab_postfix
from lab.processes import free_port
from spfmilter import units
from spfmilter.commands import accessfix, activation, milterlist, postconf, probe, survey
from spfmilter.commands import mta as attaching
from spfmilter.commands.accessfix import Account, OurSocket
from spfmilter.commands.postconf import AttachError, Changes, Postfix
from spfmilter.health.handshake import Place
from spfmilter.settings import Settings, parse
from tests.lab.recording_milter import RecordingMilter

QUEUE = "/var/spool/postfix"


def a_postfix(smtpd_milters: str = "", *, chroot: bool = True, command_timeout: str = "30s") -> Postfix:
    return Postfix(smtpd_milters=smtpd_milters, queue_directory=QUEUE, chroot=chroot, command_timeout=command_timeout)


def settings(socket: str = "inet:8890@127.0.0.1", timeout: str = "20s") -> Settings:
    return parse(f"[milter]\nsocket = {socket}\n[dns]\ntimeout = {timeout}\n")


@pytest.mark.parametrize(
    ("socket", "chroot", "postfix"),
    [
        ("inet:8890@127.0.0.1", True, "inet:127.0.0.1:8890"),
        ("inet:8890@0.0.0.0", True, "inet:127.0.0.1:8890"),
        ("inet:8890@192.0.2.1", False, "inet:192.0.2.1:8890"),
        ("inet6:8890@::1", True, "inet:[::1]:8890"),
        ("inet6:8890@::", True, "inet:[::1]:8890"),
        ("inet6:8890@2001:db8::1", True, "inet:[2001:db8::1]:8890"),
        ("unix:/var/spool/postfix/spfmilter/a.sock", True, "unix:spfmilter/a.sock"),
        ("unix:/var/spool/postfix/spfmilter/a.sock", False, "unix:spfmilter/a.sock"),
        ("unix:/run/spfmilter/a.sock", False, "unix:/run/spfmilter/a.sock"),
        ("unix:/var/spool/postfix-out/a.sock", False, "unix:/var/spool/postfix-out/a.sock"),
    ],
)
def test_the_socket_as_postfix_writes_it(socket, chroot, postfix) -> None:
    assert attaching.postfix_socket(settings(socket).milter.socket, a_postfix(chroot=chroot)) == postfix


@pytest.mark.parametrize(
    ("unit", "address"),
    [
        ("ListenStream=127.0.0.1:8890", "inet:8890@127.0.0.1"),
        ("ListenStream=127.0.0.1:8890\nListenStream=\nListenStream=[2001:db8::1]:25", "inet6:25@2001:db8::1"),
        ("ListenStream=8895", "inet:8895@0.0.0.0"),
        ("ListenStream=8895\nBindIPv6Only=ipv6-only", "inet6:8895@::"),
        ("ListenStream=/run/spfmilter.sock", "unix:/run/spfmilter.sock"),
        ("ListenStream=%t/spfmilter.sock", "unix:/run/spfmilter.sock"),
    ],
)
def test_a_socket_of_systemds_is_where_the_installed_unit_says(tmp_path, monkeypatch, unit, address) -> None:
    monkeypatch.setattr(units, "_ROOTS", [tmp_path])
    (tmp_path / units.SOCKET).write_text(f"[Socket]\n{unit}\n")
    assert str(activation.resolved(settings("systemd")).milter.socket) == address
    assert activation.resolved(settings()) == settings(), "another socket is not looked up"


@pytest.mark.parametrize(
    ("unit", "said"),
    [
        (None, "spfmilter.socket is not installed: install -m 644 systemd/spfmilter.socket /etc/systemd/system/"),
        ("", "has no ListenStream=: leave exactly one (systemctl edit spfmilter.socket"),
        ("ListenStream=1\nListenStream=2", "has ListenStream= 2 times: leave exactly one"),
        ("ListenStream=@abstract", "no MTA can be told ListenStream='@abstract'"),
        ("ListenStream=vsock:1:2", "no MTA can be told ListenStream='vsock:1:2'"),
        ("ListenStream=%h/socket", "no MTA can be told ListenStream='%h/socket'"),
    ],
)
def test_a_unit_without_an_address_for_an_mta_is_said(tmp_path, monkeypatch, unit, said) -> None:
    monkeypatch.setattr(units, "_ROOTS", [tmp_path])
    if unit is not None:
        (tmp_path / units.SOCKET).write_text(f"[Socket]\n{unit}\n")
    with pytest.raises(AttachError, match=re.escape(said)):
        activation.resolved(settings("systemd"))


@pytest.mark.parametrize("path", ["/run/spfmilter/a.sock", "/var/spool/postfix-out/a.sock"])
def test_a_chrooted_smtpd_that_cannot_reach_the_socket_is_reported_with_what_to_write(path) -> None:
    with pytest.raises(
        AttachError, match=r"set \[milter\] socket = unix:/var/spool/postfix/spfmilter/a\.sock, or an inet"
    ):
        attaching.attached(settings(f"unix:{path}"), a_postfix(chroot=True))


@pytest.mark.parametrize(
    ("present", "wanted"),
    [
        ("", "$spfmilter_socket"),
        ("inet:127.0.0.1:8890", "$spfmilter_socket"),
        ("inet:localhost:8890", "$spfmilter_socket"),
        ("inet:127.0.0.1:8891", "$spfmilter_socket, inet:127.0.0.1:8891"),
        ("unix:a.sock inet:localhost:8891", "$spfmilter_socket, unix:a.sock, inet:localhost:8891"),
        ("unix:a.sock,inet:127.0.0.1:8890,unix:b.sock", "$spfmilter_socket, unix:a.sock, unix:b.sock"),
        ("unix:a,inet:localhost:8890 inet:127.0.0.1:8890", "$spfmilter_socket, unix:a"),
        ("$other_milters", "$spfmilter_socket, $other_milters"),
        ("unix:a $spfmilter_socket", "$spfmilter_socket, unix:a"),
        (
            "{ unix:a.sock, default_action = accept }, unix:b.sock",
            "$spfmilter_socket, { unix:a.sock, default_action = accept }, unix:b.sock",
        ),
        (
            "unix:a.sock { inet:127.0.0.1:8890, {command_timeout = 40s} }",
            "{ $spfmilter_socket, {command_timeout = 40s} }, unix:a.sock",
        ),
    ],
)
def test_other_filters_stay_behind_ours_which_is_not_repeated(present, wanted) -> None:
    changes = attaching.attached(settings(), a_postfix(present))
    assert changes.main == {"spfmilter_socket": "inet:127.0.0.1:8890", "smtpd_milters": wanted}


@pytest.mark.parametrize("present", ["unix:spf/a.sock", "unix:/var/spool/postfix/spf/a.sock", "local:spf/a.sock"])
def test_a_unix_socket_is_known_however_it_is_written(present) -> None:
    changes = attaching.attached(settings(f"unix:{QUEUE}/spf/a.sock"), a_postfix(f"unix:b.sock, {present}"))
    assert changes.main == {"spfmilter_socket": "unix:spf/a.sock", "smtpd_milters": "$spfmilter_socket, unix:b.sock"}


@pytest.mark.parametrize(
    ("present", "services"),
    [
        ("$spfmilter_socket", {}),
        ("$spfmilter_socket,unix:a.sock", {}),
        ("{ ${spfmilter_socket}, default_action=accept } $(spfmilter_socket_two)", {}),
        ("$spfmilter_socket", {"submission/inet": "", "smtp/inet": "$spfmilter_socket"}),
    ],
)
def test_where_all_is_set_nothing_is_changed(present, services) -> None:
    server = replace(a_postfix(present), socket="inet:127.0.0.1:8890", services=services)
    changes = attaching.attached(settings(), server)
    assert (changes.main, changes.services, changes.commands("/etc/postfix")) == ({}, {}, [])


@pytest.mark.parametrize(
    "present", ["$spfmilter_socket, unix:b", "inet:127.0.0.1:8895, unix:b", "inet:127.0.0.1:8896 unix:b"]
)
def test_a_former_address_is_replaced_in_every_list_and_added_to_none(present) -> None:
    """The address in our parameter is a former one after a change of the socket; others are named."""
    server = replace(
        a_postfix(present),
        socket="inet:127.0.0.1:8895",
        non_smtpd_milters="unix:b, inet:127.0.0.1:8895",
        services={"smtp/inet": "unix:c, inet:127.0.0.1:8896", "submission/inet": "unix:c"},
    )
    changes = attaching.attached(settings(), server, ["inet:localhost:8896"])
    lists = {"non_smtpd_milters": "unix:b, $spfmilter_socket"}
    if present[0] != "$":
        lists["smtpd_milters"] = "$spfmilter_socket, unix:b"
    assert changes.main == {"spfmilter_socket": "inet:127.0.0.1:8890", **lists}
    assert changes.services == {"smtp/inet": "unix:c, $spfmilter_socket"}


def test_a_parameter_that_holds_our_address_is_kept_and_one_with_a_former_address_is_said() -> None:
    server = replace(a_postfix("unix:a, $mine"), expanded={"$mine": "inet:127.0.0.1:8890"})
    assert attaching.attached(settings(), server).main["smtpd_milters"] == "$mine, unix:a"
    server = replace(server, socket="inet:127.0.0.1:8895", expanded={"$mine": "unix:b, inet:127.0.0.1:8895"})
    with pytest.raises(AttachError, match=r"smtpd_milters: the list has \$mine, .* holds inet:127\.0\.0\.1:8895"):
        attaching.attached(settings(), server)


def test_a_list_that_refers_to_the_other_list_follows_by_itself() -> None:
    server = replace(
        a_postfix("$spfmilter_socket"),
        socket="inet:127.0.0.1:8895",
        non_smtpd_milters="$smtpd_milters",
        expanded={"$spfmilter_socket": milterlist.OURS, "$smtpd_milters": ""},
    )
    assert attaching.attached(settings(), server).main == {"spfmilter_socket": "inet:127.0.0.1:8890"}
    detached = attaching.detached(settings(), server)
    assert (detached.main, detached.removed) == ({}, ("smtpd_milters", "spfmilter_socket"))


def test_detaching_finds_an_address_of_ours_that_was_written_by_hand() -> None:
    changes = attaching.detached(settings(), a_postfix("inet:localhost:8890, unix:a"))
    assert (changes.main, changes.removed) == ({"smtpd_milters": "unix:a"}, ())


def test_detaching_leaves_the_other_filters() -> None:
    server = replace(
        a_postfix("$spfmilter_socket, unix:a, inet:127.0.0.1:8895"),
        socket="inet:127.0.0.1:8895",
        services={"smtp/inet": "{ $spfmilter_socket, default_action=accept }", "submission/inet": "unix:c"},
    )
    changes = attaching.detached(settings(), server)
    assert (changes.main, changes.services) == ({"smtpd_milters": "unix:a"}, {"smtp/inet": ""})
    assert changes.commands("/etc/postfix") == [
        ["postconf", "-c", "/etc/postfix", "-e", "smtpd_milters = unix:a"],
        ["postconf", "-c", "/etc/postfix", "-P", "smtp/inet/smtpd_milters="],
        ["postconf", "-c", "/etc/postfix", "-X", "spfmilter_socket"],
        ["postfix", "-c", "/etc/postfix", "reload"],
    ]
    assert attaching.detached(None, a_postfix("unix:a")).commands("/etc/postfix") == []
    with pytest.raises(AttachError, match="take it out there by hand"):
        attaching.detached(None, replace(a_postfix("$mine"), expanded={"$mine": f"{milterlist.OURS}, unix:a"}))


def test_each_change_has_its_value_before_and_after() -> None:
    server = replace(
        a_postfix("unix:a, inet:127.0.0.1:8895", command_timeout="20s"),
        socket="inet:127.0.0.1:8895",
        services={"smtp/inet": "inet:127.0.0.1:8895"},
    )
    changes = attaching.attached(settings(), server)
    assert [str(change) for change in changes.each(server)] == [
        "main.cf: spfmilter_socket = inet:127.0.0.1:8890 (before: inet:127.0.0.1:8895)",
        "main.cf: smtpd_milters = $spfmilter_socket, unix:a (before: unix:a, inet:127.0.0.1:8895)",
        "main.cf: milter_command_timeout = 30s (before: 20s)",
        "master.cf: smtp/inet/smtpd_milters = $spfmilter_socket (before: inet:127.0.0.1:8895)",
    ]
    changes = attaching.detached(settings(), server)
    assert [str(change) for change in changes.each(server)] == [
        "main.cf: smtpd_milters = unix:a (before: unix:a, inet:127.0.0.1:8895)",
        "master.cf: smtp/inet/smtpd_milters = (empty) (before: inet:127.0.0.1:8895)",
        "main.cf: spfmilter_socket removed (before: inet:127.0.0.1:8895)",
    ]
    assert Changes().each(server) == []


def test_a_command_that_fails_is_reported_with_those_before_it(monkeypatch) -> None:
    """The next run finds less to change, and would not reload Postfix for what this one has changed."""
    ran: list[str] = []

    def run(*command: str) -> str:
        if command[0] == failing:
            raise AttachError(f"{command[0]} failed")
        ran.append(command[0])
        return ""

    monkeypatch.setattr(postconf, "_run", run)
    commands = [["postconf", "-e", "a = b"], ["postfix", "-c", "/etc", "reload"]]
    failing = "postfix"
    said = (
        "postfix failed\nDone before: postconf -e 'a = b'. Correct the cause, run this again, and then postfix -c /etc "
        "reload"
    )
    with pytest.raises(AttachError, match=f"^{re.escape(said)}$"):
        postconf.apply(commands, running=True)
    assert ran == ["postconf"]
    assert postconf.apply(commands, running=False) == commands[:1], "the next start reads the settings"
    failing = "postconf"
    with pytest.raises(AttachError, match=r"^postconf failed$"):
        postconf.apply(commands, running=True)


@pytest.mark.parametrize(
    ("services", "found"),
    [
        ({"smtp/inet": "unix:a"}, ["smtp/inet"]),
        ({"192.0.2.1:25/inet": ""}, ["192.0.2.1:25/inet"]),
        ({"smtpd/pass": "inet:localhost:8890"}, []),
        ({"smtp/inet": "$smtpd_milters"}, []),
        ({"submission/inet": ""}, []),
    ],
)
def test_a_public_service_that_leaves_us_out_is_found(services, found) -> None:
    assert attaching.bypasses(replace(a_postfix(), services=services), "inet:127.0.0.1:8890") == found


@pytest.mark.parametrize(
    ("address", "chroot", "path"),
    [
        ("unix:a/b.sock", True, f"{QUEUE}/a/b.sock"),
        ("unix:/run/b.sock", True, f"{QUEUE}/run/b.sock"),
        ("unix:/run/b.sock", False, "/run/b.sock"),
    ],
)
def test_where_postfix_looks_for_a_unix_socket(address, chroot, path) -> None:
    place = attaching.place_of(address, a_postfix(chroot=chroot))
    assert place is not None
    assert str(place.path) == path


def test_where_postfix_looks_for_an_inet_socket() -> None:
    place = attaching.place_of("inet:[::1]:8891", a_postfix())
    assert place is not None
    assert (place.host, place.port) == ("::1", "8891")


@pytest.mark.parametrize(
    ("timeout", "present", "wanted"),
    [
        ("20s", "30s", None),
        ("20s", "30", None),
        ("20s", "29s", "30s"),
        ("20s", "1m", None),
        ("30s", "30s", "40s"),
        ("1500ms", "11s", "12s"),
        ("2m", "2m", "130s"),
        ("2m", "1h", None),
        ("20s", "$something", "30s"),
    ],
)
def test_postfix_waits_longer_than_we_do(timeout, present, wanted) -> None:
    changes = attaching.attached(settings(timeout=timeout), a_postfix(command_timeout=present))
    assert changes.main.get("milter_command_timeout") == wanted


@pytest.mark.parametrize(
    ("master", "level", "chroot"),
    [
        ("smtp inet n - y - - smtpd", "3.6", True),
        ("smtp inet n - n - - smtpd", "3.6", False),
        ("smtp inet n - - - - smtpd", "3.6", False),
        ("smtp inet n - - - - smtpd", "0", True),  # master(5): the default before Postfix 3.0
        ("smtp inet n - n - 1 postscreen\nsmtpd pass - - y - - smtpd", "2", True),
        ("smtp unix - - y - - smtp\nsmtp inet n - n - - smtpd -o a=b", "2", False),
        ("", "0", False),
    ],
)
def test_whether_smtpd_is_chrooted(master, level, chroot) -> None:
    assert postconf.chrooted(master, level) is chroot


@pytest.mark.outside
@pytest.mark.parametrize(
    ("socket", "said"),
    [
        ("inet:8890@127.0.0.1", "In its main.cf: smtpd_milters = inet:127.0.0.1:8890"),
        ("unix:/run/a.sock", "could not reach this socket"),
    ],
)
@pytest.mark.usefixtures("no_postfix")
def test_where_there_is_no_mta_the_settings_for_another_host_are_printed(write, capsys, socket, said) -> None:
    from spfmilter.cli import cli  # noqa: PLC0415 - as it is for this test alone

    cli.main(["attach", "-c", str(write(f"[milter]\nsocket = {socket}\n"))], standalone_mode=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("# Postfix is not installed here. ")
    assert said in lines[0]
    assert lines[1:] == ["# Sendmail, in sendmail.mc:", attaching.sendmail_line(settings(socket))]


@pytest.mark.outside
@pytest.mark.usefixtures("no_postfix")
@pytest.mark.parametrize("command", ["attach", "detach"])
def test_applying_where_there_is_no_postfix_is_refused(run, write, command) -> None:
    done = run(command, "-c", write(), "--apply")
    assert (done.returncode, done.stdout) == (os.EX_UNAVAILABLE, "")
    assert "there is no Postfix here" in done.stderr


# -- one socket --------------------------------------------------------------------------------------------------------


@pytest.mark.outside
def test_what_speaks_the_milter_protocol_answers(tmp_path) -> None:
    with RecordingMilter(tmp_path / "m.sock"):
        assert probe.why_silent(Place("unix", path=tmp_path / "m.sock")) == ""


def test_the_folder_that_systemd_makes_is_not_made_by_hand(tmp_path, monkeypatch) -> None:
    root = probe.account("root")
    assert root is not None
    for runtime, fix in ((tmp_path / "run", "systemctl start spfmilter"), (tmp_path / "other", "install -d")):
        monkeypatch.setattr(accessfix, "RUNTIME", runtime)
        place = Place("unix", path=tmp_path / "run" / "spfmilter.sock")
        found = probe.barrier(place, root, OurSocket(user="spfmilter"))
        assert found is not None
        assert found.what == f"there is no folder {tmp_path}/run"
        assert fix in found.fix


@pytest.mark.outside
@pytest.mark.parametrize("answer", [b"220 mx.example.net ESMTP\r\n", b""])
def test_what_does_not_is_said(answer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(answer)
                connection.recv(100)

        place = Place("inet", host="127.0.0.1", port=str(listener.getsockname()[1]))
        thread = threading.Thread(target=serve)
        thread.start()
        said = probe.why_silent(place)
        thread.join()
    assert said == ("what answers there does not speak the milter protocol" if answer else "it closed the connection")
    assert probe.why_silent(place) == "Connection refused"


@pytest.mark.outside
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
@pytest.mark.parametrize(
    ("folder_mode", "socket_mode", "what", "fix"),
    [
        (0o755, 0o666, "", ""),
        (0o700, 0o666, "cannot enter", "chgrp nogroup {0} && chmod 2750 {0} && systemctl restart spfmilter"),
        (0o755, 0o660, "cannot write to", "chgrp nogroup {0} && chmod 2750 {0} && systemctl restart spfmilter"),
        (0o755, 0o600, "cannot write to", "set [milter] socket_mode = 0660, and systemctl restart spfmilter"),
    ],
)
def test_who_may_connect(folder_mode, socket_mode, what, fix) -> None:
    """In a folder of its own below /tmp, since other users cannot enter pytest's."""
    nobody = probe.account("nobody")
    assert nobody is not None
    with tempfile.TemporaryDirectory() as top, socket.socket(socket.AF_UNIX) as sock:
        Path(top).chmod(0o755)
        folder = Path(top) / "inside"
        folder.mkdir()
        path = folder / "m.sock"
        sock.bind(str(path))
        sock.listen()
        path.chmod(socket_mode)
        folder.chmod(folder_mode)
        for root in ("/", top):
            found = probe.barrier(Place("unix", path=path, root=Path(root)), nobody, OURS)
            assert (found is None) == (not what)
            assert found is None or (what in found.what and fix.format(folder) in found.fix)
        if not what:  # folders above the MTA's root directory do not count
            Path(top).chmod(0o700)
            assert probe.barrier(Place("unix", path=path, root=folder), nobody) is None
            found = probe.barrier(Place("unix", path=path), nobody)
            assert found is not None
            assert f"cannot enter {top} " in found.what
            Path(top).chmod(0o755)
        missing = probe.barrier(Place("unix", path=Path(top) / "none" / "m.sock"), nobody, OURS)
        assert missing is not None
        assert f"install -d -o root -g nogroup -m 2750 {top}/none && systemctl restart spfmilter" in missing.fix


OURS = OurSocket(user="root")
POSTFIX = Account("postfix", "postfix", 64001, 64002, ())


def test_the_folder_gives_the_socket_its_group_since_the_daemon_may_not(tmp_path) -> None:
    """[milter] socket_group = postfix would end the daemon under the unit: PrivateUsers= hides the group."""
    path = tmp_path / "m.sock"
    path.touch(mode=0o660)
    path.chmod(0o660)
    by_folder = f"chgrp postfix {tmp_path} && chmod 2750 {tmp_path} && systemctl restart spfmilter"
    assert accessfix.closed_socket(path, POSTFIX, OURS).endswith(by_folder)
    assert "socket_group =" not in accessfix.closed_socket(path, POSTFIX, OURS)
    own = replace(POSTFIX, gid=tmp_path.stat().st_gid)
    tmp_path.chmod(0o2750)
    assert accessfix.closed_socket(path, own, OURS).startswith("the socket is older than the group of its folder")
    assert accessfix.closed_socket(path, POSTFIX, None) == ""


def test_a_folder_of_others_is_not_changed(tmp_path) -> None:
    """Postfix's queue directory is root's, and its folder private is Postfix's."""
    daemon = OurSocket(user="spfmilter-of-a-test")
    path = tmp_path / "m.sock"
    path.touch()
    path.chmod(0o660)
    inside = f"{tmp_path}/spfmilter"
    own = f"install -d -o {daemon.user} -g postfix -m 2750 {inside}, then set [milter] socket = unix:{inside}/m.sock"
    assert own in accessfix.closed_socket(path, POSTFIX, daemon)
    assert own in accessfix.own_folder(path, "postfix", daemon)
    assert accessfix.closed_folder(tmp_path, path, POSTFIX, daemon).startswith("let others enter it (chmod o+x ")
    named = tmp_path / "spfmilter" / "m.sock"
    named.parent.mkdir()
    made = accessfix.own_folder(named, "postfix", daemon)
    assert made.startswith(f"chown {daemon.user}:postfix {named.parent} && chmod 2750 {named.parent} && systemctl")
    assert "set [milter] socket = unix:/run/spfmilter/x, and" in accessfix.own_folder(Path("/run/x"), "postfix", daemon)


def test_a_socket_of_systemds_has_its_group_by_the_socket_unit(tmp_path) -> None:
    path = tmp_path / "m.sock"
    path.touch()
    activated = OurSocket(user="root", activated=True)
    fix = accessfix.closed_socket(path, POSTFIX, activated)
    assert fix.startswith("set SocketGroup=postfix and SocketMode=0660 in a drop-in (systemctl edit spfmilter.socket")
    assert fix.endswith("systemctl stop spfmilter && systemctl restart spfmilter.socket && systemctl start spfmilter")


@pytest.mark.outside
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_a_folder_in_which_the_daemon_may_not_make_its_socket_is_said(tmp_path) -> None:
    daemon, root = OurSocket(user="daemon"), probe.account("root")
    assert root is not None
    found = probe.barrier(Place("unix", path=tmp_path / "m.sock"), root, daemon)
    assert found is not None
    assert found.what.startswith(f"user daemon may not make a socket in {tmp_path} (root:root, mode 0700)")
    assert probe.barrier(Place("unix", path=tmp_path / "m.sock"), root) is None


# -- all of them -------------------------------------------------------------------------------------------------------


@pytest.mark.outside
@pytest.mark.parametrize(
    ("usual", "options", "said"),
    [
        ("tempfail", "", "Postfix defers every message (451)"),
        ("shutdown", "", "Postfix defers every message (421)"),
        ("accept", "", "Postfix takes mail without it"),
        ("accept", ", default_action = reject", "Postfix refuses every message"),
        ("reject", ", default_action=quarantine", "Postfix holds every message"),
    ],
)
def test_what_a_silent_milter_does_to_mail_is_said_by_its_default_action(usual: str, options: str, said: str) -> None:
    other = f"inet:127.0.0.1:{free_port()}"
    server = replace(a_postfix(f"{{ {other}{options} }}"), default_action=usual)
    ours, found = survey.of_postfix(server, f"inet:127.0.0.1:{free_port()}", ())
    assert (found.address, found.effect, found.ours, found.asked) == (other, said, False, True)
    assert f"{said} meanwhile. Fix: start that filter, or take it out of smtpd_milters; " in str(found)
    assert ours.ours


@pytest.mark.outside
def test_before_attaching_our_own_silence_has_no_effect_yet(tmp_path) -> None:
    """Unless Postfix asks us already, at this address or at a former one where nothing answers."""
    ours, former = (f"inet:127.0.0.1:{free_port()}" for _ in range(2))

    def asked(server: Postfix, *leaving: str) -> bool:
        found = next(iter(survey.of_postfix(server, ours, leaving)))
        said = "Postfix defers every message (451) meanwhile."
        assert (said in str(found)) == found.asked
        later = "Once attached, Postfix defers every message (451) until this is corrected."
        assert (later in str(found)) != found.asked
        return found.asked

    assert not asked(a_postfix("inet:127.0.0.1:1"))
    assert asked(a_postfix(ours))
    assert asked(a_postfix(former), former)
    refers = replace(a_postfix("$spfmilter_socket"), expanded={"$spfmilter_socket": milterlist.OURS})
    assert asked(replace(refers, socket=ours))
    assert asked(replace(refers, socket=former), former)
    assert not asked(replace(a_postfix(), socket=former), former)
    with RecordingMilter(tmp_path / "m.sock"):  # Postfix is still served at the former address
        here = f"unix:{tmp_path}/m.sock"
        assert not asked(replace(refers, socket=here, chroot=False), here)


@pytest.mark.outside
def test_an_address_with_our_name_where_nothing_answers_is_a_former_one(tmp_path) -> None:
    gone, here, other = f"unix:{tmp_path}/old/spfmilter", f"unix:{tmp_path}/spfmilter.sock", f"unix:{tmp_path}/dkim"
    with RecordingMilter(tmp_path / "spfmilter.sock"):
        server = a_postfix(f"{gone}, {here}, {other}", chroot=False)
        assert survey.former(server, "inet:127.0.0.1:8890") == {gone}
        assert survey.former(server, gone) == set()


@pytest.mark.outside
def test_the_default_instance_is_named_to_postfix(run, write, monkeypatch, tmp_path) -> None:
    """Without a name, postfix(1) asks every instance, and fails if another one is stopped."""
    settings = {"config_directory": "/etc/postfix", "queue_directory": str(tmp_path), "milter_command_timeout": "30s"}

    def answers(*command: str) -> str:
        if command[0] == "postfix" and command[1:3] != ("-c", "/etc/postfix"):
            raise AttachError("postfix-out/postfix-script: the Postfix mail system is not running")
        return settings.get(command[-1], "")

    monkeypatch.setattr(postconf, "_run", answers)
    monkeypatch.setattr("shutil.which", lambda name, **_: name)
    path = write(f"[milter]\nsocket = inet:{free_port()}@127.0.0.1\n")
    refused = run("attach", "-c", path, "--apply")
    assert (refused.returncode, refused.stdout) == (os.EX_UNAVAILABLE, "")
    assert "Postfix was left as it is; --force changes it all the same" in refused.stderr
    done = "done: postfix -c /etc/postfix reload\n"
    assert run("attach", "-c", path, "--apply", "--force").stdout.endswith(done)
    settings["smtpd_milters"] = "unix:spfmilter/former"
    assert run("detach", "-c", path, "--apply").stdout.endswith(done)


# -- with a real Postfix -----------------------------------------------------------------------------------------------

with_postfix = pytest.mark.skipif(bool(lab_postfix.unavailable()), reason=lab_postfix.unavailable() or "available")


@pytest.fixture
def mta() -> Iterator[lab_postfix.Postfix]:
    """A Postfix that is laid out, and does not run."""
    server = lab_postfix.Postfix(chroot=True, smtpd_milters="inet:127.0.0.1:8891")
    yield server
    server.stop()


def value(mta: lab_postfix.Postfix, name: str) -> str:
    command = ["/usr/sbin/postconf", "-c", str(mta.folder / "etc"), "-hx", name]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603 - our own


@pytest.mark.outside
@with_postfix
def test_what_is_printed_is_what_apply_does_and_once_is_enough(run, write, mta, monkeypatch) -> None:
    path, directory = write(), mta.folder / "etc"
    printed = run("attach", "-c", path, "--postfix-config", directory)
    assert printed.stdout.splitlines() == [
        f"postconf -c {directory} -e 'spfmilter_socket = inet:127.0.0.1:8890'",
        f"postconf -c {directory} -e 'smtpd_milters = $spfmilter_socket, inet:127.0.0.1:8891'",
        f"postfix -c {directory} reload",
    ], "and nothing of Sendmail, which is not here"
    assert value(mta, "smtpd_milters") == "inet:127.0.0.1:8891", "printing changes nothing"
    monkeypatch.chdir(mta.folder)
    relative = run("attach", "-c", path, "--postfix-config", "etc")
    assert relative.stdout == printed.stdout, "postfix(1) takes no relative path"

    applied = run("attach", "-c", path, "--postfix-config", directory, "--apply")
    assert applied.returncode == 0
    assert applied.stdout.splitlines() == [
        "changed: main.cf: spfmilter_socket = inet:127.0.0.1:8890 (before: empty)",
        "changed: main.cf: smtpd_milters = $spfmilter_socket, inet:127.0.0.1:8891 (before: inet:127.0.0.1:8891)",
        "Postfix is not running; it will read this when it starts.",
    ]
    assert value(mta, "smtpd_milters") == "inet:127.0.0.1:8890, inet:127.0.0.1:8891"
    again = run("attach", "-c", path, "--postfix-config", directory, "--apply")
    assert (again.returncode, again.stdout) == (0, "Postfix is attached already: there is nothing to change.\n")

    gone = run("detach", "-c", path, "--postfix-config", directory, "--apply")
    assert (gone.returncode, gone.stderr) == (0, "")
    assert gone.stdout.splitlines() == [
        "changed: main.cf: smtpd_milters = inet:127.0.0.1:8891 (before: $spfmilter_socket, inet:127.0.0.1:8891)",
        "changed: main.cf: spfmilter_socket removed (before: inet:127.0.0.1:8890)",
        "Postfix is not running; it will read this when it starts.",
    ]
    assert value(mta, "smtpd_milters") == "inet:127.0.0.1:8891"
    assert "spfmilter" not in (directory / "main.cf").read_text()
    run("attach", "-c", path, "--postfix-config", directory, "--apply")
    gone = run("detach", "-c", path.with_name("removed"), "--postfix-config", directory, "--apply")
    assert (gone.returncode, gone.stderr) == (0, ""), "the INI file may be gone before"
    assert value(mta, "smtpd_milters") == "inet:127.0.0.1:8891"
    again = run("detach", "-c", path, "--postfix-config", directory, "--apply")
    assert again.stdout == "Postfix is detached already: there is nothing to change.\n"


@pytest.mark.outside
@with_postfix
def test_detaching_leaves_main_cf_as_it_was_before(run, write) -> None:
    mta = lab_postfix.Postfix(chroot=True)
    directory = mta.folder / "etc"
    try:
        subprocess.run(["/usr/sbin/postconf", "-c", str(directory), "-X", "smtpd_milters"], check=True)  # noqa: S603 - our own
        before = (directory / "main.cf").read_text()
        assert "smtpd_milters" not in before
        options = ("-c", write(), "--postfix-config", directory, "--apply")
        assert run("attach", *options).returncode == 0
        assert value(mta, "smtpd_milters") == "inet:127.0.0.1:8890"
        removed = "changed: main.cf: smtpd_milters removed (before: $spfmilter_socket)\n"
        assert removed in run("detach", *options).stdout
        assert (directory / "main.cf").read_text() == before
    finally:
        mta.stop()


@pytest.mark.outside
@with_postfix
def test_a_socket_that_systemd_takes_over_replaces_the_former_address(run, write, mta, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(units, "_ROOTS", [tmp_path])
    directory = mta.folder / "etc"
    applied = ("--postfix-config", directory, "--apply")
    run("attach", "-c", write(), *applied)
    path, unit = write("[milter]\nsocket = systemd\n"), tmp_path / units.SOCKET
    refused = run("attach", "-c", path, *applied)
    assert (refused.returncode, refused.stdout) == (os.EX_UNAVAILABLE, "")
    assert "spfmilter.socket is not installed" in refused.stderr
    unit.write_text(f"[Socket]\nListenStream={mta.queue_directory}/spfmilter/s.sock\n")
    done = run("attach", "-c", path, *applied)
    assert (done.returncode, value(mta, "spfmilter_socket")) == (0, "unix:spfmilter/s.sock")
    assert value(mta, "smtpd_milters") == "unix:spfmilter/s.sock, inet:127.0.0.1:8891"
    assert "systemctl restart spfmilter.socket && systemctl start spfmilter" in done.stderr
    cf = tmp_path / "sendmail.cf"
    cf.write_text("O InputMailFilters=\n")
    shown = run("attach", "-c", path, "--postfix-config", directory, "--sendmail-config", cf).stdout
    assert f"`S=unix:{mta.queue_directory}/spfmilter/s.sock, " in shown

    unit.write_text("[Socket]\nListenStream=/run/spfmilter.sock\n")
    refused = run("attach", "-c", path, *applied)
    assert "is chrooted" in refused.stderr
    assert "with socket = systemd, the address is ListenStream= of spfmilter.socket" in refused.stderr
    assert run("detach", "-c", path, *applied).returncode == 0
    assert value(mta, "smtpd_milters") == "inet:127.0.0.1:8891"


@pytest.mark.outside
@with_postfix
def test_applying_reloads_a_running_postfix_once(run, write, mta) -> None:
    directory, place = mta.folder / "etc", mta.queue_directory / "spfmilter"
    place.mkdir()
    mta.start()
    path = write(f"[milter]\nsocket = unix:{place}/socket\n")
    with RecordingMilter(place / "socket"):
        done = run("attach", "--json", "-c", path, "--postfix-config", directory, "--apply")
        shown = json.loads(done.stdout)
        assert (shown["applied"], shown["changed"], shown["reloaded"]) == (True, True, True)
        assert shown["changes"] == [
            {"file": "main.cf", "setting": "spfmilter_socket", "before": "", "after": "unix:spfmilter/socket"},
            {
                "file": "main.cf",
                "setting": "smtpd_milters",
                "before": "inet:127.0.0.1:8891",
                "after": "$spfmilter_socket, inet:127.0.0.1:8891",
            },
        ]
        assert shown["postfix"]["smtpd_milters"] == "$spfmilter_socket, inet:127.0.0.1:8891"
        assert shown["commands"][-1] == ["postfix", "-c", str(directory), "reload"]
        assert [(silent["address"], silent["ours"]) for silent in shown["silent"]] == [("inet:127.0.0.1:8891", False)]
        mta.wait_for_log("reload -- version")
        assert json.loads(run("attach", "--json", "-c", path, "--postfix-config", directory, "--apply").stdout) == {
            **shown,
            "postfix": {},
            "commands": [],
            "changes": [],
            "changed": False,
            "reloaded": False,
        }
        printed = json.loads(run("detach", "--json", "-c", path, "--postfix-config", directory).stdout)
        assert (printed["applied"], printed["changed"], printed["reloaded"]) == (False, False, False)
        assert printed["changes"][1] == {
            "file": "main.cf",
            "setting": "spfmilter_socket",
            "before": "unix:spfmilter/socket",
            "after": None,
        }
    assert mta.log().count("reload -- version") == 1
    gone = run("detach", "-c", path, "--postfix-config", directory, "--apply").stdout.splitlines()
    assert gone == [
        "changed: main.cf: smtpd_milters = inet:127.0.0.1:8891 (before: $spfmilter_socket, inet:127.0.0.1:8891)",
        "changed: main.cf: spfmilter_socket removed (before: unix:spfmilter/socket)",
        f"done: postfix -c {directory} reload",
    ]


@pytest.mark.outside
@with_postfix
def test_a_running_postfix_is_left_alone_while_the_daemon_does_not_answer_it(run, write, mta, monkeypatch) -> None:
    monkeypatch.setattr(units, "daemon_user", lambda: "root")
    directory, place = mta.folder / "etc", mta.queue_directory / "spfmilter"
    mta.start()
    options = ("-c", write(f"[milter]\nsocket = unix:{place}/socket\n"), "--postfix-config", directory, "--apply")

    def refused() -> str:
        done = run("attach", *options)
        assert (done.returncode, done.stdout) == (os.EX_UNAVAILABLE, "")
        assert "Once attached, Postfix defers every message (451) until this is corrected." in done.stderr
        assert "Postfix was left as it is; --force changes it all the same" in done.stderr
        return str(done.stderr)

    assert f"there is no folder {place}" in refused()
    place.mkdir()
    assert "No such file or directory" in refused()
    assert "systemctl restart spfmilter" in refused()
    with RecordingMilter(place / "socket"):
        (place / "socket").chmod(0o660)
        assert f"user postfix cannot write to {place}/socket (root:root, mode 0660)" in refused()
        assert f"chgrp postfix {place} && chmod 2750 {place} && systemctl restart spfmilter" in refused()
        place.chmod(0o700)
        assert f"user postfix cannot enter {place}" in refused()
        assert value(mta, "smtpd_milters") == "inet:127.0.0.1:8891"
        forced = run("attach", *options, "--force")
        assert forced.returncode == 0
        assert f"warning: smtpd_milters: unix:spfmilter/socket: user postfix cannot enter {place}" in forced.stderr
        assert "Postfix defers every message (451) meanwhile." in forced.stderr
    assert value(mta, "smtpd_milters") == "unix:spfmilter/socket, inet:127.0.0.1:8891"


@pytest.mark.outside
@with_postfix
def test_a_former_address_of_the_usual_form_is_replaced_and_a_service_that_leaves_us_out_is_said(
    run, write, mta
) -> None:
    directory = mta.folder / "etc"
    for change in (
        ("-e", "smtpd_milters = unix:spfmilter/former, inet:127.0.0.1:8891"),
        ("-M", "smtp/inet=smtp inet n - n - - smtpd"),
        ("-P", "smtp/inet/smtpd_milters=inet:127.0.0.1:8891"),
    ):
        subprocess.run(["/usr/sbin/postconf", "-c", str(directory), *change], check=True, capture_output=True)  # noqa: S603 - our own
    done = run("attach", "--json", "-c", write(), "--postfix-config", directory)
    shown = json.loads(done.stdout)
    assert shown["postfix"]["smtpd_milters"] == "$spfmilter_socket, inet:127.0.0.1:8891"
    assert shown["notes"] == [
        "master.cf, smtp/inet: it has an smtpd_milters of its own without spfmilter, so its mail is not checked"
    ]
    assert "unix:spfmilter/former" not in [silent["address"] for silent in shown["silent"]]


@pytest.mark.outside
@with_postfix
def test_a_chrooted_postfix_that_cannot_reach_the_socket_is_left_alone(run, write, mta) -> None:
    path = write("[milter]\nsocket = unix:/run/spfmilter/a.sock\n")
    done = run("attach", "-c", path, "--postfix-config", mta.folder / "etc", "--apply")
    assert (done.returncode, done.stdout) == (os.EX_UNAVAILABLE, "")
    assert f"set [milter] socket = unix:{mta.queue_directory}/spfmilter/a.sock" in done.stderr
    assert value(mta, "smtpd_milters") == "inet:127.0.0.1:8891"


@pytest.mark.outside
@with_postfix
def test_a_directory_without_a_postfix_configuration_is_reported(run, write, tmp_path) -> None:
    done = run("attach", "-c", write(), "--postfix-config", tmp_path / "none")
    assert done.returncode == os.EX_UNAVAILABLE
    assert "postconf" in done.stderr
