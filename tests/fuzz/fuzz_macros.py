"""Any text is a macro-string or breaks its grammar; an expansion stays within its bounds."""

from spfmilter.spf import macros
from spfmilter.spf.macros import MacroError, MacroString


def one_input(data: bytes) -> None:
    """The text, a NUL, and the value of all its letters."""
    raw, _, value = (part.decode("utf-8", "surrogateescape") for part in data.partition(b"\0"))
    for explanation in (False, True):
        try:
            found = macros.parse(raw, explanation=explanation)
        except MacroError:
            continue
        assert found.text == raw
        assert len(found.expand(lambda _: value, 100)) <= 100
        assert explanation or not found.letters & {"c", "r", "t"}
    try:
        spec = macros.parse_domain_spec(raw)
    except MacroError:
        return
    assert raw.isascii()
    _domain(spec, value)


def _domain(spec: MacroString, value: str) -> None:
    """What is expanded from the right, as far as it is needed, is what expanding all of it and cutting gives."""
    assert "." in spec.text or spec.ends_in_macro
    name = spec.expand_domain(lambda _: value)
    whole = spec.expand(lambda _: value, 10**6).removesuffix(".")
    assert whole.endswith(name)
    assert len(name) <= 253 or "." not in name[-253:]
    if len(whole) <= 253:
        assert name == whole
    elif "." in whole[-254:]:
        assert name == whole[len(whole) - 254 :].partition(".")[2]
