"""`make demo`: a refused sender, seen from both ends, with a real Postfix and a real name server, in some seconds.

It knows the order of events and the exit status: 0 if everything came out as it must, 1 if not, 69 where the servers
cannot be started, 130 or 143 after an interrupt. With KEEP=1 the servers stay until Ctrl-C, the usual end then.
"""

import json
import os
import shlex
import signal
import subprocess
import sys
from types import FrameType

from screen import Screen
from stage import SPFMILTER, Stage, header_block
from story import RECIPIENT, REFUSED, SCENES, SENDER, Outcome, Scene

from lab import nsd, postfix

_ENDS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


class Demo:
    """The parts of the demo, in their order; `failed` holds what did not come out as it must."""

    def __init__(self, stage: Stage, screen: Screen) -> None:
        self.stage, self.screen = stage, screen
        self.failed: list[str] = []

    def run(self) -> None:
        """Everything."""
        self.attach()
        replies = {scene.title: self.scene(number, scene) for number, scene in enumerate(SCENES, start=1)}
        self.administrator(replies[REFUSED.title])

    def attach(self) -> None:
        """The servers, and how Postfix came to ask the daemon."""
        stage = self.stage
        self.screen.open(
            "The servers",
            f"A private Postfix (port {stage.postfix.port}), a private name server (NSD, port "
            f"{stage.name_server.port}) and spfmilter, all on loopback only.",
        )
        self.screen.note("spfmilter attach --apply has told Postfix of the daemon:")
        self.screen.commands(stage.attach())
        self.screen.close()

    def scene(self, number: int, scene: Scene) -> Outcome:
        """One message and what must have come of it."""
        screen = self.screen
        screen.open(f"{number}. {scene.title}", scene.happens)
        dialogue, outcome = self.stage.play(scene)
        login = f", logged in as {scene.login}" if scene.login else ""
        screen.note(f"the client is {scene.address}, {scene.name}{login}")
        screen.dialogue(dialogue)
        if scene.elsewhere:
            ours = "\n".join(line.partition(" ")[2] for line in outcome.lines)
            screen.side_by_side([("What such senders are often told", scene.elsewhere), ("What spfmilter tells", ours)])
        if block := header_block(outcome):
            screen.header("in the mailbox:", block)
        found = {sentence: looks(outcome) for sentence, looks in scene.checks.items()}
        for sentence, true in found.items():
            self.check(f"scene {number}", sentence, true=true)
        screen.close(fine=all(found.values()))
        return outcome

    def administrator(self, refused: Outcome) -> None:
        """The refused case once more, by `spfmilter check`, and the daemon's log line of it."""
        command = self.stage.check(REFUSED)
        self.screen.rule("The administrator asks why", shlex.join(["spfmilter", *command[1:]]))
        shown = subprocess.run(command, check=False, timeout=30).returncode
        machine = subprocess.run([*command, "--json"], check=False, capture_output=True, text=True, timeout=30)
        judged = json.loads(machine.stdout) if machine.returncode == 0 else {}
        said = [f"{refused.code}{'-' if n < len(refused.lines) else ' '}{t}" for n, t in enumerate(refused.lines, 1)]
        self.screen.open("What the administrator sees", "The same decision, in the command above and in the log.")
        self.screen.commands(self.log_lines())
        same = shown == machine.returncode == 0 and judged.get("reply") == said
        self.check("spfmilter check", "spfmilter check gives the very reply that the client got", true=same)
        logged = any("action=reject" in line and "term=-all" in line for line in self.log_lines())
        self.check("the log", "the log says who was refused, by which term and by which rule", true=logged)
        self.screen.close(fine=same and logged)

    def log_lines(self) -> list[str]:
        """The daemon's lines about the refused message."""
        return [line for line in self.stage.daemon.log().splitlines() if "ended=refused" in line]

    def check(self, where: str, sentence: str, *, true: bool) -> None:
        """Show a check, and remember it if it failed."""
        self.screen.check(sentence, true=true)
        if not true:
            self.failed.append(f"{where}: not so: {sentence}")


def keep(stage: Stage, screen: Screen) -> None:
    """Leave the servers running, and say how to talk to them."""
    port, zone = stage.postfix.port, stage.name_server.zone_file("mail163.example")
    screen.open("The servers stay; Ctrl-C stops them and removes their folders", "They listen on loopback only.")
    screen.note("as the refused client, by swaks or by hand:")
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
    screen.note("mend the sender's record, have it read, and see what changes:")
    screen.commands(
        [
            f"sed -i '/^@/s/-all/ip4:{REFUSED.address} -all/' {zone} && kill -HUP {stage.name_server.pid}",
            shlex.join(stage.check(REFUSED)),
        ]
    )
    screen.note("look around:")
    screen.commands(
        [
            f"tail -f {stage.daemon.log_path} {stage.postfix.maillog}",
            f"less {stage.daemon.ini_path}",
            f"ls {stage.postfix.inbox}",
            f"postqueue -c {stage.postfix.config_directory} -p",
            f"{SPFMILTER} config show -c {stage.daemon.ini_path}",
        ]
    )
    screen.close()
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)
    signal.sigwait(_ENDS)


def _end(number: int, _frame: FrameType | None) -> None:
    """A signal ends the demo as an error would: the servers are stopped on the way out."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)  # the clean-up is not to be interrupted in its turn
    raise SystemExit(128 + number)


def main() -> int:
    """The exit status."""
    if missing := postfix.unavailable() or nsd.unavailable():
        print(f"demo: {missing}", file=sys.stderr)
        return os.EX_UNAVAILABLE
    for number in _ENDS:
        signal.signal(number, _end)
    screen = Screen()
    with Stage() as stage:
        demo = Demo(stage, screen)
        demo.run()
        if not demo.failed and os.environ.get("KEEP", "0") not in {"", "0", "no"}:
            keep(stage, screen)
    for failure in demo.failed:
        print(f"demo: {failure}", file=sys.stderr)
    if not demo.failed:
        screen.say("\nEverything came out as it must; the servers are stopped.")
    return 1 if demo.failed else 0


if __name__ == "__main__":
    sys.exit(main())
