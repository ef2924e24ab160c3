"""`make demo`: show a refused sender from both ends, with real Postfixes and a real name server, in a few seconds.

It knows the order of events and the exit status: 0 if all checks passed, 1 if not, 69 if the servers cannot be started,
130 or 143 after an interrupt. With KEEP=1 the servers run until Ctrl-C.
"""

import itertools
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from types import FrameType

from administrator import Administrator
from screen import Screen
from sender import Sender
from stage import SPFMILTER, Stage, header_block
from story import DOMAIN, LISTED, OTHERS, RECIPIENT, REFUSED, SENDER, Outcome, Scene

from lab import nsd, postfix

_ENDS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


class Demo:
    """The parts of the demo, in order. The screen knows which checks failed."""

    def __init__(self, stage: Stage, screen: Screen) -> None:
        self.stage, self.screen = stage, screen
        self.sender, self.letting_in = Sender(stage, screen), Administrator(stage, screen)

    def run(self) -> None:
        """Play everything: the story of one refusal, then other cases of the policy."""
        numbers = itertools.count(1)
        self.attach()
        self.scene(next(numbers), LISTED)
        self.administrator(self.scene(next(numbers), REFUSED))
        self.sender.is_told(next(numbers))
        if self.sender.case:
            self.letting_in.lets_her_in(next(numbers), self.sender.case)
        if self.sender.link:
            self.sender.reads(next(numbers))
            self.sender.fixes_the_record(next(numbers))
        for scene in OTHERS:
            self.scene(next(numbers), scene)
        self.stage.configure("")

    def attach(self) -> None:
        """Show the servers, and how Postfix was attached to the daemon."""
        stage = self.stage
        self.screen.open(
            "The servers",
            f"A private Postfix (port {stage.postfix.port}), another at the sender's end, a private name server (NSD, "
            f"port {stage.name_server.port}), spfmilter and its help page, all on loopback only.",
        )
        self.screen.note("spfmilter attach --apply has told Postfix of the daemon:")
        self.screen.commands(stage.attach())
        self.screen.close()

    def scene(self, number: int, scene: Scene) -> Outcome:
        """Play one message, and check its result."""
        screen = self.screen
        screen.open(f"{number}. {scene.title}", scene.happens)
        dialogue, outcome = self.stage.play(scene)
        if scene.settings:
            screen.note("added to the INI file, and reloaded:")
            screen.commands(scene.settings.splitlines())
        login = f", logged in as {scene.login}" if scene.login else ""
        screen.note(f"the client is {scene.address}, {scene.name}{login}")
        screen.dialogue(dialogue)
        if scene.elsewhere:
            ours = "\n".join(line.partition(" ")[2] for line in outcome.lines)
            screen.side_by_side([("What such senders are often told", scene.elsewhere), ("What spfmilter tells", ours)])
        if block := header_block(outcome, scene.shows):
            screen.header("in the mailbox:", block)
        for sentence, looks in scene.checks.items():
            screen.check(sentence, true=looks(outcome))
        screen.close()
        return outcome

    def administrator(self, refused: Outcome) -> None:
        """Show the refused case again, by `spfmilter check`, and the daemon's log line about it."""
        command = self.stage.check(REFUSED)
        self.screen.rule("The administrator asks why", shlex.join(["spfmilter", *command[1:]]))
        shown = subprocess.run(command, check=False, timeout=30).returncode
        machine = subprocess.run([*command, "--json"], check=False, capture_output=True, text=True, timeout=30)
        checked = json.loads(machine.stdout) if machine.returncode == 0 else {}
        said = [f"{refused.code}{'-' if n < len(refused.lines) else ' '}{t}" for n, t in enumerate(refused.lines, 1)]
        self.screen.open("What the administrator sees", "The same decision, in the command above and in the log.")
        self.screen.commands(self.log_lines())
        same = shown == machine.returncode == 0 and _but_for_links(checked.get("reply", [])) == _but_for_links(said)
        self.screen.check("spfmilter check gives the very reply that the client got", true=same)
        logged = any("action=reject" in line and "term=-all" in line for line in self.log_lines())
        self.screen.check("the log says who was refused, by which term and by which rule", true=logged)
        self.screen.close()

    def log_lines(self) -> list[str]:
        """Return the daemon's log lines about the refused message."""
        return [line for line in self.stage.daemon.log().splitlines() if "ended=refused" in line]


def _but_for_links(lines: list[str]) -> list[str]:
    """Return a reply without what each message has for itself: the time in the token of its link, and the case id."""
    texts = [re.sub(r"/spf/\S+", "/spf/", f"{line[:3]} {line[4:]}") for line in lines]
    return [text for text in texts if "Case: " not in text]


def keep(stage: Stage, screen: Screen, link: str) -> None:
    """Leave the servers running, and print how to use them."""
    port, zone = stage.postfix.port, stage.name_server.zone_file(DOMAIN)
    screen.say(f"\nThe help page can be opened in a browser now:\n\n{link}\n")
    screen.open("The servers stay; Ctrl-C stops them and removes their folders", "They listen on loopback only.")
    screen.note("restore Alice's old record, and see what the page and the daemon say now:")
    screen.commands(
        [
            f"sed -i 's/ ip4:{REFUSED.address}//' {zone} && kill -HUP {stage.name_server.pid}",
            shlex.join(stage.check(REFUSED)),
        ]
    )
    screen.note("then as the refused client, by swaks or by hand:")
    screen.commands(
        [
            f"swaks --server 127.0.0.1:{port} --xclient-addr {REFUSED.address} --ehlo {REFUSED.name} \\",
            f"      --from {SENDER} --to {RECIPIENT}",
            "",
            f"telnet 127.0.0.1 {port}",
            f"XCLIENT ADDR={REFUSED.address} NAME={REFUSED.name}",
            f"EHLO {REFUSED.name}",
            f"MAIL FROM:<{SENDER}>",
        ]
    )
    screen.note("look around:")
    screen.commands(
        [
            f"tail -f {stage.daemon.log_path} {stage.postfix.maillog}",
            f"less {stage.daemon.ini_path}",
            f"ls {stage.postfix.inbox} {stage.shop.inbox}",
            f"postqueue -c {stage.postfix.config_directory} -p",
            f"{SPFMILTER} config show -c {stage.daemon.ini_path}",
        ]
    )
    screen.close()
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)
    signal.sigwait(_ENDS)


def _end(number: int, _frame: FrameType | None) -> None:
    """Raise an error on a signal, so the servers are stopped on the way out."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)  # a second signal must not interrupt the clean-up
    raise SystemExit(128 + number)


def main() -> int:
    """Run the demo. Return the exit status."""
    if missing := postfix.unavailable() or nsd.unavailable():
        print(f"demo: {missing}", file=sys.stderr)
        return os.EX_UNAVAILABLE
    for number in _ENDS:
        signal.signal(number, _end)
    screen = Screen()
    with Stage() as stage:
        demo = Demo(stage, screen)
        demo.run()
        kept = not screen.failed and os.environ.get("KEEP", "0") not in {"", "0", "no"}
        if kept:
            keep(stage, screen, demo.sender.link)
    for failure in screen.failed:
        print(f"demo: {failure}", file=sys.stderr)
    if not screen.failed:
        screen.say("\nAll checks passed; the servers are stopped.")
        if not kept:
            screen.say("To open the help page in a browser, and to try things yourself: make demo KEEP=1")
    return 1 if screen.failed else 0


if __name__ == "__main__":
    sys.exit(main())
