"""``[state] url``: what is understood, and that no message shows a password."""

import pytest

from spfmilter.settings import SettingsError, parse, show
from spfmilter.settings.urls import StateUrl, state_url

PASSWORD = "geheim"


@pytest.mark.parametrize(
    ("text", "meant", "shown"),
    [
        ("redis://192.0.2.9", StateUrl(scheme="redis", host="192.0.2.9"), "redis://192.0.2.9/0"),
        ("redis://[2001:db8::9]:7000/3", StateUrl(scheme="redis", host="2001:db8::9", port=7000, database=3), None),
        ("redis://[fe80::9%eth0]/0", StateUrl(scheme="redis", host="fe80::9%eth0"), None),
        ("redis://[fe80::9%25eth0]/0", StateUrl(scheme="redis", host="fe80::9%eth0"), "redis://[fe80::9%eth0]/0"),
        ("redis://State.Example./1", StateUrl(scheme="redis", host="state.example", database=1), "redis://state.example/1"),
        ("redis://:p%40s%2Fs@h/0", StateUrl(scheme="redis", host="h", password="p@s/s"), "redis://:***@h/0"),
        ("redis://:p@s@h/0", StateUrl(scheme="redis", host="h", password="p@s"), "redis://:***@h/0"),
        ("redis://a%20b:c@h/0", StateUrl(scheme="redis", host="h", user="a b", password="c"), "redis://a%20b:***@h/0"),
        (
            "rediss://h:6380/0?ssl_ca_certs=/ca.pem",
            StateUrl(scheme="rediss", host="h", port=6380, files=(("ssl_ca_certs", "/ca.pem"),)),
            None,
        ),
        ("unix:///run/a%20b.sock?db=2", StateUrl(scheme="unix", path="/run/a b.sock", database=2), None),
        ("unix://u:p@/run/x", StateUrl(scheme="unix", path="/run/x", user="u", password="p"), "unix://u:***@/run/x"),
    ],
)  # fmt: skip
def test_a_url_is_understood_and_shown_without_its_password(text: str, meant: StateUrl, shown: str | None) -> None:
    assert state_url(text) == meant
    assert str(meant) == (shown or text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("192.0.2.9", "is not the URL of a Redis"),
        ("postgresql://:geheim@192.0.2.9/0", "is not the URL of a Redis"),
        ("me:geheim@192.0.2.9", "'192.0.2.9' is not the URL of a Redis"),
        ("redis://:geheim/heim@192.0.2.9/0", "is not a URL"),
        ("redis://:geheim#heim@192.0.2.9/0", "written as %2F, %23, %20"),
        ("redis://:geheim heim@192.0.2.9/0", "written as %2F, %23, %20"),
        ("redis://:geheim@[192.0.2.9/0", "is not a URL"),
        ("redis://:geheim@192.0.2.9:0/0", "is not a URL"),
        ("redis://:geheim@192.0.2.9:70000/0", "is not a URL"),
        ("redis://:geheim@/0", "names no host"),
        ("redis://:geheim@-/0", "names no host"),
        ("redis://:geheim@192.0.2.9/one", "'one' is not a database"),
        ("redis://:geheim@192.0.2.9/0?db=1", "'db' is not known after the ?: redis:// takes nothing here"),
        ("rediss://:geheim@192.0.2.9/0?ssl_cert_reqs=none", "rediss:// takes ssl_ca_certs, ssl_certfile, ssl_keyfile"),
        ("rediss://:geheim@192.0.2.9/0?ssl_ca_certs=ca.pem", "is the path of a file, and begins with /"),
        ("unix://:geheim@host/run/redis.sock", "after unix:// comes a path"),
        ("unix://:geheim@/", "after unix:// comes a path"),
        (f"unix://:geheim@/{'d' * 107}", "the path of a unix socket has at most 107 bytes"),
        ("unix://:geheim@/run/a%00b", "holds %00"),
        ("rediss://:geheim@h/0?ssl_ca_certs=/a%00b", "holds %00"),
        ("unix:///run/redis.sock?db=x", "'x' is not a database"),
    ],
)
def test_the_problem_is_reported_without_the_password(text: str, said: str) -> None:
    with pytest.raises(SettingsError, match=r"^settings: line 2: \[state\] url: ") as caught:
        parse(f"[state]\nurl = {text}\n")
    assert said in str(caught.value)
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize("line", [f"redis://:{PASSWORD}@h/0", f"url: redis://me:{PASSWORD}@h/0"])
def test_a_line_in_the_wrong_form_is_not_repeated_with_the_password(line: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse(f"[state]\n{line}\n")
    assert "***@h/0" in str(caught.value)
    assert PASSWORD not in str(caught.value)


def test_neither_the_settings_shown_nor_their_repr_hold_the_password() -> None:
    settings = parse(f"[state]\nurl = redis://me:{PASSWORD}@h/0\n")
    assert "url = redis://me:***@h/0\n" in show(settings)
    assert PASSWORD not in show(settings) + repr(settings)
