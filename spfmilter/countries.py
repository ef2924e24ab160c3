"""Which languages are read where a domain is at home, judged by its name: by its country's top-level domain.

Knows the languages of countries, and of a few domains of large mail providers under .com and .net. Does not know which
languages have translations. A guess only: a notice in a guessed language holds the English text as well.

Sources: IANA's Root Zone Database for the domains, also those in other scripts (https://www.iana.org/domains/root/db);
Unicode CLDR, ``territoryInfo`` for official languages, the one with most readers first
(https://www.unicode.org/cldr/charts/latest/supplemental/territory_language_information.html).

Left out, since they tell nothing of a country: domains that their registries sell to all the world (.ai, .am, .cc, .co,
.fm, .gg, .io, .la, .ly, .me, .nu, .st, .to, .tv, .ws; where such a country has domains below, as com.co, these count),
and those that were given away for nothing (.cf, .ga, .gq, .ml, .tk).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

# Languages (BCP 47), the first that can be shown is used: the ends of names.
_WHERE: Mapping[str, str] = {
    "ar": "ae bh eg iq jo kw lb com.ly gov.ly edu.ly mr om ps qa sa sd sy ye "
    "xn--mgbaam7a8h xn--wgbh1c xn--mgbtx2b xn--mgbayh7gpa xn--mgb9awbf xn--ygbi2ammx xn--wgbl6a xn--mgberp4a5d4ar "
    "xn--mgbpl2fh xn--ogbpf8fl xn--mgb2ddes xn--mgbah1a3hjkrd",
    "ar fr": "dj dz km ma td tn xn--lgbbat1ad8j xn--mgbc0a9azcg xn--pgbs0dh",
    "az": "az",
    "be ru": "by xn--90ais",
    "bg": "bg xn--90ae",
    "bn": "bd xn--54b7fta0cc",
    "bs hr sr": "ba",
    "ca": "ad",
    "ca es": "cat",
    "cs": "cz",
    "da": "dk",
    "fo": "fo",
    "de": "at de li berlin hamburg koeln wien",
    "de fr it": "ch",
    "el": "gr xn--qxam",
    "el tr": "cy",
    "en": "au bb bm bs bz ca fj gh gy ie in jm ke ng nz ph sg tt ug uk us za zm zw",
    "es": "ar bo cl com.co edu.co gov.co net.co org.co cr cu do ec es gt hn mx ni pa pe pr py sv uy ve",
    "et": "ee",
    "eu es": "eus",
    "fa": "ir xn--mgba3a4f16a",
    "fi sv": "fi",
    "fr": "bf bi bj cd cg ci cm fr gf gn gp ht mc mq nc ne pf pm re sn tg wf yt quebec paris bzh",
    "fr de": "lu",
    "gl es": "gal",
    "he ar": "il xn--4dbrk0ce",
    "hr": "hr",
    "hu": "hu",
    "hy": "com.am net.am org.am xn--y9a3aq",
    "id": "id",
    "is": "is",
    "it": "it sm va",
    "ja": "jp",
    "ka": "ge xn--node",
    "kk ru": "kz xn--80ao21a",
    "km": "kh",
    "ko": "kp kr xn--3e0b707e",
    "ky ru": "kg",
    "lt": "lt",
    "lv": "lv",
    "mk": "mk xn--d1alf",
    "mn": "mn xn--l1acc",
    "ms": "bn my xn--mgbx4cd0ab",
    "my": "mm",
    "nb": "no",
    "ne": "np",
    "nl": "nl sr",
    "nl fr de": "be",
    "pl": "pl",
    "pt-BR": "br",
    "pt-PT": "ao cv gw mz pt tl",
    "ro": "md ro",
    "ru": "ru su xn--p1ai",
    "si": "lk xn--fzc2c9e2c",
    "sk": "sk",
    "sl": "si",
    "sq": "al",
    "sr": "rs xn--90a3ac",
    "sv": "ax se",
    "th": "th xn--o3cw4h",
    "tr": "tr",
    "uk": "ua xn--j1amh",
    "ur en": "pk xn--mgbai9a5eva00b xn--mgbai9azgqp6j",
    "uz": "uz",
    "vi": "vn",
    "zh-Hans": "cn xn--fiqs8s xn--fiqz9s",
    "zh-Hant": "hk tw xn--j6w193g xn--kprw13d xn--kpry57d",
    "zh-Hant pt": "mo xn--mix891f",
}
# Large mail providers whose users read one language, by the domains of their addresses and of their MX hosts.
_PROVIDERS: Mapping[str, str] = {
    "de": "gmx.net kundenserver.de",
    "fr": "laposte.net",
    "ko": "daum.net hanmail.net kakao.com nate.com naver.com",
    "ru": "yandex.com yandex.net",
    "zh-Hans": "126.com 139.com 163.com 188.com 21cn.com aliyun.com foxmail.com mxhichina.com netease.com qq.com "
    "sina.com sohu.com tom.com yeah.net",
    "zh-Hant": "hinet.net",
}
_BY_END: Mapping[str, tuple[str, ...]] = {
    end: tuple(languages.split())
    for table in (_WHERE, _PROVIDERS)
    for languages, ends in table.items()
    for end in ends.split()
}
_MAX_LABELS = 2  # of an end above


def languages_of(name: str) -> tuple[str, ...]:
    """Return the languages that are read where a domain or host is at home, the first one first; none if unknown.

    Args:
        name: the name, as A-labels in any case; untrusted input.
    """
    labels = name.lower().removesuffix(".").split(".")[-_MAX_LABELS:]
    ends = (".".join(labels[place:]) for place in range(len(labels)))
    return next((_BY_END[end] for end in ends if end in _BY_END), ())


def first_known(names: Iterable[str]) -> tuple[str, ...]:
    """Return the languages of the first name that tells them; none if no name does."""
    return next(filter(None, map(languages_of, names)), ())
