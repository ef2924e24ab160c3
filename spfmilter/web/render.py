"""Turn values into HTML. The only owner of Jinja2.

Knows the templates and how a text is translated. Everything is escaped. Only a template may mark a text as safe.
"""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from spfmilter.web import wording
from spfmilter.web.languages import LANGUAGES, PageLanguage, moment, translations
from spfmilter.web.mailto import mailto


@cache
def _environment(language: PageLanguage) -> Environment:
    """Return the templates with the texts of one language. `_` translates, and escapes the values of a text."""
    environment = Environment(
        loader=PackageLoader("spfmilter.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.policies["ext.i18n.trimmed"] = True
    environment.install_gettext_translations(translations(language), newstyle=True)  # type: ignore[attr-defined]  # the extension adds it
    environment.globals.update(
        language=language,
        languages=LANGUAGES,
        gap=language.gap,
        moment=lambda time: moment(time, language, _zone_at(time)),
        words=wording.RESULTS,
        outcomes=wording.OUTCOMES,
        what_spf_is=wording.WHAT_SPF_IS,
        cards=wording.CARDS,
        mailto=mailto,
    )
    return environment


def _zone_at(time: int) -> tzinfo:
    """Return this host's zone at a time in seconds since 1970."""
    return datetime.fromtimestamp(time).astimezone().tzinfo or UTC


def render(template: str, language: PageLanguage, **values: object) -> str:
    """Return a whole page."""
    return _environment(language).get_template(template).render(values)
