"""List files and conf.d: read with the INI file, every problem with its file and line, and nothing that can wait."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from spfmilter.daemon.inforce import digest
from spfmilter.model import Rule
from spfmilter.settings import Settings, SettingsError, files, load, parse, schema, show, without_effect
from spfmilter.settings.lists import EntryList

LISTS = {
    "exempt": ("networks", "forwarders", "forwarder_spf", "recipients", "senders"),
    "relays": ("trusted",),
    "policy": ("own_addresses", "nat64_prefixes"),
    "reply": ("own_domains",),
    "dns": ("nameservers", "private_zones"),
    "web": ("trusted_proxies", "nameservers"),
    "domain:example.com": ("trust",),
}
ENTRIES = {
    "recipients": ("sales@", "Bob@example.net"),
    "own_addresses": ("192.0.2.7", "2001:db8::7"),
    "nat64_prefixes": ("2001:db8:64::/96", "64:ff9b::/96"),
    "networks": ("192.0.2.7", "2001:db8::/32"),
    "trusted": ("192.0.2.7", "2001:db8::/32"),
    "trust": ("192.0.2.7", "2001:db8::/32"),
    "trusted_proxies": ("192.0.2.7", "2001:db8::/32"),
    "nameservers": ("192.0.2.7", "[2001:db8::1]:5353"),
    "private_zones": ("corp", "192.0.2.0/24"),
    "senders": ("a.example", "b.example if pass from 192.0.2.0/24"),
}
NAMES = ("a.example", "bücher.example")


def made(folder: Path, texts: Mapping[str, str | bytes]) -> Path:
    """Write files; {folder} stands for their folder. Return the path of spfmilter.ini."""
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        data = text if isinstance(text, bytes) else text.encode()
        path.write_bytes(data.replace(b"{folder}", str(folder).encode()))
    return folder / "spfmilter.ini"


def settings_of(folder: Path, texts: Mapping[str, str | bytes]) -> Settings:
    return load(made(folder, texts))


def problems_of(folder: Path, texts: Mapping[str, str | bytes]) -> list[str]:
    """The problems, each with its file; the folder is {folder}."""
    with pytest.raises(SettingsError) as caught:
        settings_of(folder, texts)
    return str(caught.value).replace(str(folder), "{folder}").splitlines()


def test_every_list_of_addresses_networks_and_domains_takes_files() -> None:
    """A list of another kind has no class of its own."""
    taking = {
        section: tuple(
            schema.key_of(model, name)
            for name in model.model_fields
            if isinstance(model.model_fields[name].default, EntryList)
        )
        for section, model in [(name, model) for name, (_, model) in schema.SECTIONS.items()]
        + [("domain:example.com", schema.DomainSection)]
    }
    assert {section: keys for section, keys in taking.items() if keys} == LISTS


@pytest.mark.parametrize(("section", "key"), [(section, key) for section, keys in LISTS.items() for key in keys])
def test_a_list_in_a_file_is_the_same_list(tmp_path: Path, section: str, key: str) -> None:
    one, other = ENTRIES.get(key, NAMES)
    written = parse(f"[{section}]\n{key} = {one}, {other}\n")
    text = f"\ufeff# partners\r\n\r\n  {one}  # the first\r\n{other}\r\n\r\n"
    read = settings_of(
        tmp_path, {"spfmilter.ini": f"[{section}]\n{key} = file:{{folder}}/list.txt\n", "list.txt": text}
    )
    assert read == written
    assert f"{key} = file:{tmp_path}/list.txt\n" in show(read)
    assert digest(read, counting=True) != digest(written, counting=True), "it is read from another place"
    ((_, _, entries),) = read.lists()
    assert entries.files == ((f"{tmp_path}/list.txt", 2),)
    assert [entries.origin(place).line for place in (0, 1)] == [3, 4]  # type: ignore[union-attr]


def test_items_and_files_can_be_mixed_and_show_keeps_them(tmp_path: Path) -> None:
    texts = {
        "spfmilter.ini": "[exempt]\nnetworks = ::1,file:{folder}/a\n 192.0.2.9,file:{folder}/b\n ::1,file:{folder}/a\n",
        "a": "192.0.2.7\n192.0.2.0/24\n",
        "b": "192.0.2.9\n# nothing new\n",
    }
    read = settings_of(tmp_path, texts)
    assert [str(one) for one in read.exempt.networks] == ["::1/128", "192.0.2.7/32", "192.0.2.0/24", "192.0.2.9/32"]
    assert read.exempt.networks.written() == f"::1, file:{tmp_path}/a, 192.0.2.9, file:{tmp_path}/b"
    again = settings_of(tmp_path, {"spfmilter.ini": show(read)})
    assert again == read
    assert show(again) == show(read)


def test_the_digest_follows_the_entries_and_not_the_comments(tmp_path: Path) -> None:
    texts = {"spfmilter.ini": "[exempt]\nforwarders = file:{folder}/list\n", "list": "a.example\nb.example\n"}
    first = digest(settings_of(tmp_path, texts), counting=True)
    assert digest(settings_of(tmp_path, {"list": "# partners\na.example\n\nB.example # new\n"}), counting=True) == first
    assert digest(settings_of(tmp_path, {"list": "a.example\n"}), counting=True) != first
    texts = {"list": "a.example\nb.example\n", "conf.d/1.ini": "[exempt]\nauthenticated = no\n"}
    assert digest(settings_of(tmp_path, texts), counting=True) != first


# -- what is wrong -----------------------------------------------------------------------------------------------------

BAD = sorted((Path(__file__).parent / "bad-files").iterdir())


@pytest.mark.parametrize("folder", BAD, ids=lambda path: path.name)
def test_every_problem_has_its_file_and_line(tmp_path: Path, folder: Path) -> None:
    """The files of a folder, in which {folder} stands for its path, have the problems in ``expected``."""
    texts = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    expected = texts.pop("expected").decode().splitlines()
    assert problems_of(tmp_path, texts) == expected


def test_a_pipe_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "conf.d").mkdir()
    os.mkfifo(tmp_path / "conf.d" / "x.ini")
    assert problems_of(tmp_path, {"spfmilter.ini": "[exempt]\nforwarders = file:{folder}/pipe\n"}) == [
        "{folder}/conf.d/x.ini: is no regular file: write one in its place",
        "{folder}/pipe: [exempt] forwarders: is no regular file: write one in its place",
    ]


def test_what_cannot_be_read_says_who_must_be_able_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    (problem,) = problems_of(tmp_path, {"spfmilter.ini": "[exempt]\nforwarders = file:{folder}/l\n", "l": ""})
    assert problem == (
        "{folder}/l: [exempt] forwarders: cannot be read: Permission denied: let the daemon's user read it "
        "(chgrp spfmilter, chmod 0640), and enter its folders"
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_the_rights_are_those_of_the_user_who_reads() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        path = made(folder, {"spfmilter.ini": "[exempt]\nforwarders = file:{folder}/l\n", "l": "a.example\n"})
        (folder / "l").chmod(0o600)
        os.seteuid(65534)
        try:
            with pytest.raises(SettingsError, match="cannot be read: Permission denied: let the daemon's user read it"):
                load(path)
        finally:
            os.seteuid(0)


def test_sizes_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LIST_SIZE", 1 << 20)
    ini = {"spfmilter.ini": "[exempt]\nforwarders = file:{folder}/l\n"}
    assert problems_of(tmp_path, {**ini, "l": "#" * (1 << 20) + "\n"}) == [
        "{folder}/l: [exempt] forwarders: is larger than 1 MB: split it"
    ]
    assert problems_of(tmp_path, {**ini, "l": f"a.example\n{'x' * 1001}\n"})[0].startswith(
        "{folder}/l: line 2: [exempt] forwarders: the line has 1001 bytes: write one entry a line"
    )
    wrong = problems_of(tmp_path, {**ini, "l": "no,name\n" * 60})
    assert wrong[0] == "{folder}/l: [exempt] forwarders: 10 more lines are wrong as well: correct these first"
    assert len(wrong) == 51
    names = "".join(f"{number}.example\n" for number in range(102))
    ini = {"spfmilter.ini": "[exempt]\nforwarder_spf = file:{folder}/l\n"}
    (problem,) = problems_of(tmp_path, {**ini, "l": names})
    assert problem == (
        "{folder}/l: line 101: [exempt] forwarder_spf: more than 100 entries: write fewer, since a refusal first "
        "evaluates all of them"
    )


def test_a_text_alone_reads_no_file() -> None:
    with pytest.raises(SettingsError, match="'file:/etc/passwd': no file is read here"):
        parse("[exempt]\nforwarders = file:/etc/passwd\n")


# -- conf.d ------------------------------------------------------------------------------------------------------------

MERGED = {
    "spfmilter.ini": "[policy]\nmode = monitor\nreject_at = message\n[domain:a.example]\nfail = tag\nnone = tag\n",
    "conf.d/10-mode.ini": "[policy]\nmode = enforce\n[domain:b.example]\nfail = defer\n",
    "conf.d/20-a.ini": "[domain:A.example]\n\nnone = accept\nsoftfail = reject\n[exempt]\nnetworks = 192.0.2.0/24\n",
    "conf.d/.hidden.ini": "[policy]\nmode = perhaps\n",
    "conf.d/README": "no INI file",
    "conf.d/30.ini.dpkg-old": "[policy]\nmode = perhaps\n",
}


def test_of_each_key_the_last_file_counts(tmp_path: Path) -> None:
    read = settings_of(tmp_path, MERGED)
    assert read == parse(
        "[policy]\nmode = enforce\nreject_at = message\n[exempt]\nnetworks = 192.0.2.0/24\n"
        "[domain:a.example]\nfail = tag\nnone = accept\nsoftfail = reject\n[domain:b.example]\nfail = defer\n"
    )
    assert read.further == (f"{tmp_path}/conf.d/10-mode.ini", f"{tmp_path}/conf.d/20-a.ini")
    assert [
        str(read.rule(*place))
        for place in (
            ("policy", "mode"),
            ("policy", "reject_at"),
            ("domain:a.example", "fail"),
            ("domain:a.example", "none"),
            ("exempt", "networks"),
        )
    ] == [
        "[policy] mode = enforce (conf.d/10-mode.ini line 2)",
        "[policy] reject_at = message (line 3)",
        "[domain:a.example] fail = tag (line 5)",
        "[domain:a.example] none = accept (conf.d/20-a.ini line 3)",
        "[exempt] networks = 192.0.2.0/24 (conf.d/20-a.ini line 6)",
    ]


def test_a_service_may_be_in_conf_d_and_in_two_files(tmp_path: Path) -> None:
    texts = {
        "spfmilter.ini": "[service:Bulk Mail]\ninclude = spf.bulk.example\nhosts = old.example\n",
        "conf.d/1.ini": "[service:Bulk Mail]\nhosts = file:{folder}/hosts\n",
        "hosts": "bulk.example\n",
    }
    [service] = settings_of(tmp_path, texts).own_services
    assert (service.name, service.include, service.hosts) == ("Bulk Mail", "spf.bulk.example", ("bulk.example",))
    [problem] = problems_of(tmp_path, {"conf.d/1.ini": "\n[service:Other]\nhosts = other.example\n"})
    assert problem.startswith("{folder}/conf.d/1.ini: line 2: [service:Other] include: is missing: write the domain")


def test_a_rule_names_the_entry_of_a_list_file(tmp_path: Path) -> None:
    texts = {
        "spfmilter.ini": "[exempt]\nnetworks = ::1, file:{folder}/partners.txt, file:{folder}/other/more\n",
        "partners.txt": "\n192.0.2.0/24\n192.0.2.7\n",
        "other/more": "198.51.100.1",
    }
    read = settings_of(tmp_path, texts)
    assert str(read.rule("exempt", "networks", 2)) == "[exempt] networks = 192.0.2.7 (partners.txt line 3)"
    assert str(read.rule("exempt", "networks", 3)) == "[exempt] networks = 198.51.100.1 (other/more line 1)"
    whole = f"[exempt] networks = ::1, file:{tmp_path}/partners.txt, file:{tmp_path}/other/more (line 2)"
    assert str(read.rule("exempt", "networks", 0)) == whole
    assert str(read.rule("exempt", "networks")) == whole
    assert read.rule("exempt", "networks", 1) == Rule(
        section="exempt", key="networks", value="192.0.2.0/24", line=2, file="partners.txt"
    )
    made(tmp_path, {"etc/spfmilter.ini": "[relays]\ntrusted = file:{folder}/partners.txt"})
    elsewhere = str(load(tmp_path / "etc" / "spfmilter.ini").rule("relays", "trusted", 0))
    assert elsewhere == f"[relays] trusted = 192.0.2.0/24 ({tmp_path}/partners.txt line 2)"


def test_entries_without_effect_are_named_and_not_all_of_them(tmp_path: Path) -> None:
    texts = {
        "spfmilter.ini": "[relays]\ntrusted = 192.0.2.0/24\n[exempt]\nnetworks = file:{folder}/l\n",
        "l": "".join(f"192.0.2.{number}\n198.51.100.{number}\n" for number in range(12)),
    }
    found = without_effect(settings_of(tmp_path, texts), is_public=True)
    named = [f"{each.file}: {each}".replace(str(tmp_path), "{folder}") for each in found]
    assert named[0] == "None: line 4: [exempt] networks: 2 more entries have no effect"
    assert named[2] == (
        "{folder}/l: line 3: [exempt] networks: has no effect: 192.0.2.1/32 is in [relays] trusted, which goes first"
    )
    assert len(named) == 11
