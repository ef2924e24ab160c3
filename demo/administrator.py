"""The administrator's end: the case id that Alice quotes, why she was refused, and one command that lets her in.

It knows the order of these steps, and the expected result of each. It knows neither servers nor the layout.
"""

import json
import shlex
import subprocess

from screen import Screen
from stage import Stage
from story import DOMAIN, REFUSED, SHOP, Outcome

from lab.processes import HUNG, until

_IN_FORCE = 10  # seconds until an exemption is in force, on a machine that has nothing else to do; it takes two


class Administrator:
    """Bob's administrator, whom Alice has told her case id."""

    def __init__(self, stage: Stage, screen: Screen) -> None:
        self.stage, self.screen = stage, screen

    def lets_her_in(self, number: int, case: str) -> None:
        """Look the case up, let this server in for this domain, see the message delivered, and end the exemption."""
        screen, stage = self.screen, self.stage
        until(lambda: self._json("why", case, "--offline"), _IN_FORCE, f"case {case} in the journal")
        command = stage.command("why", case)
        screen.rule(f"{number}. The administrator asks why, by the case id in the bounce", f"spfmilter why {case}")
        shown = subprocess.run(command, check=False, timeout=HUNG).returncode
        found = self._json("why", case)
        screen.open(
            "and lets her in",
            f"Until the record of {DOMAIN} is fixed: one command, in force within two seconds, without a reload.",
        )
        screen.commands([shlex.join(["spfmilter", "exempt", "add", "--case", case, "--for", "7d", "--yes"])])
        added = self._json("exempt", "add", "--case", case, "--for", "7d", "--yes")
        outcome = until(self._accepted, _IN_FORCE, "the exemption in force")
        result = " ".join(outcome.field("Received-SPF").split())
        log = next((line for line in reversed(stage.daemon.log().splitlines()) if "override=exemption" in line), "")
        screen.note("the next message is delivered; its header and the log say how")
        screen.commands([f"Received-SPF: {result}", log])
        screen.check("the case id from the bounce leads to the very decision", true=shown == 0 and bool(found))
        whom = (added.get("domain"), added.get("network")) == (DOMAIN, SHOP)
        screen.check("only this server is let in, only for this domain", true=whom)
        screen.check("the message is delivered, and still says that SPF failed", true=result.startswith("fail ("))
        identity = str(added.get("id", ""))
        removed = self._json("exempt", "remove", identity)
        until(lambda: not self._accepted(), _IN_FORCE, "the end of the exemption")
        screen.check("removed again, it lets nobody in", true=bool(removed))
        screen.close()

    def _accepted(self) -> Outcome | None:
        _, outcome = self.stage.play(REFUSED)
        return outcome if outcome.message is not None else None

    def _json(self, *words: str) -> dict[str, object]:
        """Return what a command says as JSON; empty if it failed."""
        command = self.stage.command(*words, "--json")
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=HUNG)
        return dict(json.loads(done.stdout)) if done.returncode == 0 else {}
