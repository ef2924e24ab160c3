"""Programs that read Authentication-Results after the MTA: which fields they accept as those of mx.example.net.

It knows how one process asks Debian's Pigeonhole and SpamAssassin about many messages. It does not know which fields
are forged. `lab.opendmarc` runs OpenDMARC, which has to be a server.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

TIMEOUT = 120.0
_NOBODY = 65534
_SIEVE = shutil.which("sieve-test")
_SPAMASSASSIN = Path("/usr/share/perl5/Mail/SpamAssassin/Plugin/AuthRes.pm")

_DOVECOT = """\
protocols =
ssl = no
log_path = /dev/stderr
base_dir = {folder}
mail_location = maildir:{folder}/mail
mail_uid = {user}
mail_gid = {group}
first_valid_uid = 1
plugin {{
  sieve_max_actions = 0
}}
"""
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
authres_networks all
authres_trusted_authserv mx.example.net
header OURS eval:check_authres_result('spf', 'pass')
END
});
for my $path (@ARGV) {
  open my $file, '<', $path or die "$path: $!";
  my $text = do { local $/; <$file> };
  my $message = $spamassassin->parse($text, 1);
  my $status = Mail::SpamAssassin::PerMsgStatus->new($spamassassin, $message);
  $status->extract_message_metadata;
  my $results = $status->{authres_result};
  print "$path\\n" if $results && ($results->{spf} || '') eq 'pass';
  $status->finish;
  $message->finish;
}
"""


def no_sieve() -> str:
    """Return why Pigeonhole cannot be asked here; empty if it can."""
    return "" if _SIEVE is not None else "sieve-test is not installed (tools/setup.sh lab)"


def no_spamassassin() -> str:
    """Return why SpamAssassin cannot be asked here; empty if it can."""
    return "" if _SPAMASSASSIN.exists() else "SpamAssassin is not installed (tools/setup.sh lab)"


def sieve(message: bytes, words: Iterable[str]) -> set[str]:
    """Return the words of the fields that a Sieve rule accepts as ours, with `spf=pass`.

    All fields are in one message, since sieve-test reads one message only. Each field has one of the words.
    """
    with tempfile.TemporaryDirectory(prefix="lab-sieve-") as name:
        folder = Path(name)
        user, group = (os.getuid(), os.getgid()) if os.getuid() else (_NOBODY, _NOBODY)  # it refuses to read as root
        os.chown(folder, user, group)
        (folder / "conf").write_text(_DOVECOT.format(folder=folder, user=user, group=group))
        rules = "".join(_RULE.format(word=word) for word in words)
        (folder / "rules.sieve").write_text(f'require ["fileinto", "regex"];\n{rules}')
        (folder / "message").write_bytes(message)
        command = [_SIEVE or "sieve-test", "-c", "conf", "rules.sieve", "message"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert "final result: success" in done.stdout + done.stderr, f"{done.returncode}:\n{done.stdout}{done.stderr}"
    return set(re.findall(r"store message in folder: word-(.*)", done.stdout))


def spamassassin(messages: Mapping[str, bytes]) -> set[str]:
    """Return the names of the messages with a field that SpamAssassin's AuthRes plugin accepts as ours: `spf=pass`."""
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
    return set(done.stdout.split())
