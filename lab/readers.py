"""Programs that read Authentication-Results after the MTA: which fields they accept as those of mx.example.net.

It knows how one process asks Debian's Pigeonhole and SpamAssassin about many messages. It does not know which fields
are forged. `lab.opendmarc` runs OpenDMARC, which has to be a server.
"""

import functools
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

TIMEOUT = 120.0
_NOBODY = 65534
_SIEVE = shutil.which("sieve-test")
_SPAMASSASSIN = Path("/usr/share/perl5/Mail/SpamAssassin/Plugin/AuthRes.pm")

_DOVECOT = """\
{places}
protocols =
ssl = no
log_path = /dev/stderr
base_dir = {folder}
mail_uid = {user}
mail_gid = {group}
first_valid_uid = 1
"""
# Dovecot 2.4 wants to know the version of its settings first, and has no section for those of plug-ins.
_PLACES = {
    "2.3": "mail_location = maildir:{folder}/mail\nplugin {{\n  sieve_max_actions = 0\n}}",
    "2.4": "dovecot_config_version = 2.4.0\ndovecot_storage_version = 2.4.0\n"
    "mail_driver = maildir\nmail_path = {folder}/mail\nsieve_max_actions = 0",
}
# An administrator's rule in regular expressions. It files the message by the word of each field that counts as ours.
_RULE = """\
if header :regex ["authentication-results", "arc-authentication-results"] \
"^(i=[0-9]+; *)?[[:space:]\\"]*mx\\\\.example\\\\.net\\\\.?\\"?([[:space:]][^;]*)?;.*spf=pass.*[^a-z0-9]{word}\\\\." \
{{ fileinto "word-{word}"; }}
"""
_PERL = """\
use strict; use warnings;
use Mail::SpamAssassin;
my $spamassassin = Mail::SpamAssassin->new({
  dont_copy_prefs => 1, local_tests_only => 1, require_rules => 0, rules_filename => '/dev/null',
  site_rules_filename => '/dev/null', userprefs_filename => '/dev/null', config_text => <<'END',
util_rb_tld example
loadplugin Mail::SpamAssassin::Plugin::AuthRes
loadplugin Mail::SpamAssassin::Plugin::SPF
trusted_networks 192.0.2.1
authres_networks all
authres_trusted_authserv mx.example.net
header OURS eval:check_authres_result('spf', 'pass')
END
});
$spamassassin->init(1);
my ($plugin) = grep { ref($_) eq 'Mail::SpamAssassin::Plugin::SPF' } @{$spamassassin->{plugins}->{plugins}};
my @words = qw(pass fail softfail neutral none temperror permerror);
for my $path (@ARGV) {
  open my $file, '<', $path or die "$path: $!";
  my $text = do { local $/; <$file> };
  my $message = $spamassassin->parse($text, 1);
  my $status = Mail::SpamAssassin::PerMsgStatus->new($spamassassin, $message);
  $status->extract_message_metadata;
  $plugin->_check_spf($status, $_) for 0, 1;
  my ($sender) = grep { $status->{"spf_$_"} } @words;
  my ($helo) = grep { $status->{"spf_helo_$_"} } @words;
  print join("\\t", $path, $status->{authres_result}->{spf} || '', $sender || '', $helo || ''), "\\n";
  $status->finish;
  $message->finish;
}
"""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What SpamAssassin's plugins make of the fields of mx.example.net in one message; empty: no result."""

    authres: str  # the plugin AuthRes: one result for all identities
    mail_from: str  # the plugin SPF, which asks no DNS here
    helo: str


def no_sieve() -> str:
    """Return why Pigeonhole cannot be asked here; empty if it can."""
    return "" if _SIEVE is not None else "sieve-test is not installed (tools/setup.sh lab)"


def no_spamassassin() -> str:
    """Return why SpamAssassin cannot be asked here; empty if it can."""
    return "" if _SPAMASSASSIN.exists() else "SpamAssassin is not installed (tools/setup.sh lab)"


@functools.cache
def _dovecot_version() -> tuple[int, ...]:
    done = subprocess.run(["dovecot", "--version"], capture_output=True, text=True, timeout=TIMEOUT, check=True)
    return tuple(map(int, re.findall(r"[0-9]+", done.stdout)[:2]))


def sieve(message: bytes, words: Iterable[str]) -> set[str]:
    """Return the words of the fields that a Sieve rule accepts as ours, with `spf=pass`.

    All fields are in one message, since sieve-test reads one message only. Each field has one of the words.
    """
    with tempfile.TemporaryDirectory(prefix="lab-sieve-") as name:
        folder = Path(name)
        user, group = (os.getuid(), os.getgid()) if os.getuid() else (_NOBODY, _NOBODY)  # it refuses to read as root
        os.chown(folder, user, group)
        places = _PLACES["2.3" if _dovecot_version() < (2, 4) else "2.4"].format(folder=folder)
        (folder / "conf").write_text(_DOVECOT.format(places=places, folder=folder, user=user, group=group))
        rules = "".join(_RULE.format(word=word) for word in words)
        (folder / "rules.sieve").write_text(f'require ["fileinto", "regex"];\n{rules}')
        (folder / "message").write_bytes(message)
        command = [_SIEVE or "sieve-test", "-c", "conf", "rules.sieve", "message"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert "final result: success" in done.stdout + done.stderr, f"{done.returncode}:\n{done.stdout}{done.stderr}"
    return set(re.findall(r"store message in folder: word-(.*)", done.stdout))


def spamassassin(messages: Mapping[str, bytes]) -> set[str]:
    """Return the names of the messages with a field that SpamAssassin's AuthRes plugin accepts as ours: `spf=pass`."""
    return {name for name, seen in spamassassin_results(messages).items() if seen.authres == "pass"}


def spamassassin_results(messages: Mapping[str, bytes]) -> dict[str, Seen]:
    """Return what SpamAssassin reads in each message. The plugin SPF reads what stands above the first Received."""
    with tempfile.TemporaryDirectory(prefix="lab-spamassassin-") as name:
        folder = Path(name)
        (folder / "read.pl").write_text(_PERL)
        (folder / "messages").mkdir()
        for key, message in messages.items():
            (folder / "messages" / key).write_bytes(message)
        command = ["perl", str(folder / "read.pl"), *messages]
        done = subprocess.run(
            command,
            cwd=folder / "messages",
            env={"HOME": name, "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    lines = (line.split("\t") for line in done.stdout.splitlines())
    return {name: Seen(authres=authres, mail_from=sender, helo=helo) for name, authres, sender, helo in lines}
