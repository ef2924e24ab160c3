"""INI text in; the typed, frozen settings of the daemon out, or every problem with its section, key and line.

``reader`` reads a file by its ``schema``; ``values`` are the kinds of value; ``consistency`` compares the sections.
``effects`` finds the settings that have no effect.
"""

from spfmilter.settings.effective import Settings, show
from spfmilter.settings.effects import without_effect
from spfmilter.settings.ini import SettingProblem
from spfmilter.settings.reader import DEFAULT_PATH, SettingsError, load, parse

__all__ = ["DEFAULT_PATH", "SettingProblem", "Settings", "SettingsError", "load", "parse", "show", "without_effect"]
