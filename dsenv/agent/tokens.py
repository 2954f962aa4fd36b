"""What keys and tokens look like when they stand alone: prefixes of services, formats, and text that is random.

The prefixes are those that the services document, most of them made to be found by scanners.
"""

from __future__ import annotations

import math
import re

from dsenv.agent.light import TYPE_CHECKING
from dsenv.agent.patterns import lazy

if TYPE_CHECKING:
    from typing import List, Pattern, Tuple

    # Text of which one must be there, in lower case, and the pattern: looking for the text first is what makes
    # gigabytes of output cheap. `value` is what is hidden; where there is no such group, all of it is.
    Shape = Tuple[Tuple[str, ...], Pattern[str]]


def _token(*prefixes: str, rest: str = r"[\w-]{16,}") -> Shape:
    """A token that begins with one of the prefixes."""
    known = "|".join(re.escape(prefix) for prefix in prefixes)
    return tuple(prefix.lower() for prefix in prefixes), lazy(r"(?<![A-Za-z0-9])(?:{})(?:{})".format(known, rest))


_HEX = r"[0-9a-fA-F]"
# Those that may be short: what is around them gives them away.
SHORT_SHAPES: List[Shape] = [
    # scheme://user:password@host; the password ends at the last @ before the host, and may have its own.
    (("://",), lazy(r"(?<=://)[^\s/:@'\"<>]{0,200}:(?P<value>[^\s'\"<>]{1,300}?)(?=@[^\s@'\"<>/]{0,260}(?:[/\s?'\"#<>,;)]|$))")),
    (("curl",), lazy(r"\bcurl\b[^\n]{0,200}?\s(?:-u|--user)[ =]?['\"]?[^\s:'\"]{1,100}:(?P<value>[^\s'\"]+)")),
    (("jdbc:oracle",), lazy(r"jdbc:oracle:thin:[^\s/]+/(?P<value>[^\s@]+)(?=@)")),
    (("sqlplus",), lazy(r"\bsqlplus\s+[^\s/]+/(?P<value>[^\s@]+)(?=@)")),
    (("sshpass",), lazy(r"\bsshpass\s+-p\s*['\"]?(?P<value>[^\s'\"]+)")),
    (("mysql", "mariadb"), lazy(r"\b(?:mysql(?:dump)?|mariadb)\b[^\n]{0,200}?\s-p(?P<value>[^\s'\"-][^\s'\"]*)")),
    (("putty-user-key",), lazy(r"(?s)Private-Lines:\s*\d+\s+(?P<value>.*?)(?=Private-MAC:|\Z)")),
]  # fmt: skip

# Those that hold a word of so many characters and more.
LONG_WORD = lazy(r"\S{16,}")
SHAPES: List[Shape] = [
    # A token in place of the user.
    (("://",), lazy(r"(?<=://)(?P<value>[^\s/:@'\"<>]{16,})(?=@)")),
    # Parameters that presigned and shared URLs carry.
    (
        ("sig=", "signature=", "token=", "credential="),
        lazy(
            r"(?i)[?&](?:sig|x-amz-signature|x-amz-security-token|x-amz-credential|x-goog-signature|x-goog-credential"
            r"|signature)=(?P<value>[^\s&'\"<>]{8,})"
        ),
    ),
    # AWS
    (("akia", "asia", "abia", "acca"), lazy(r"(?<![A-Za-z0-9])(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}(?![0-9A-Z])")),
    _token("IQoJb3JpZ2lu", "FwoGZXIvYXdz", "FQoGZXIvYXdz", rest=r"[A-Za-z0-9+/=]{16,}"),
    (("signature=",), lazy(r"Signature=(?P<value>[0-9a-f]{64})")),
    # Google
    _token("AIza", rest=r"[\w-]{35}"),
    _token("GOCSPX-", "ya29.", rest=r"[\w.-]{16,}"),
    (("1//0",), lazy(r"(?<![\w/])1//0[\w-]{30,}")),
    # Azure
    (("8q~",), lazy(r"(?<![\w.~-])[A-Za-z0-9_~.-]{3}8Q~[A-Za-z0-9_~.-]{31,34}")),
    # Code hosts and package indexes
    _token("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
    _token("glpat-", "gldt-", "glrt-", "glcbt-", "glptt-", "glft-", "glsoat-", "GR1348941"),
    _token("npm_", "pypi-AgE", "rubygems_", "dckr_pat_", "dckr_oat_", "oy2", "ATATT3", "ATBB", "ATCTT3", "CFPAT-"),
    # Chat
    (("xox", "xapp-"), lazy(r"(?<![A-Za-z0-9])(?:xox[abeoprs]|xapp)-[\w.-]{10,}")),
    (("hooks.slack.com/",), lazy(r"hooks\.slack\.com/(?:services|workflows)/(?P<value>[\w/-]{20,})")),
    (("/api/webhooks/",), lazy(r"/api/webhooks/(?P<value>\d+/[\w-]{20,})")),
    (("webhook.office.com/",), lazy(r"webhook\.office\.com/(?P<value>[\w@/-]{20,})")),
    ((":aa",), lazy(r"(?<![\w:])(?:bot)?\d{8,10}:AA[\w-]{33}(?![\w-])")),
    ((".",), lazy(r"(?<![\w.-])[MNO][\w-]{23,25}\.[\w-]{6}\.[\w-]{27,}(?![\w-])")),
    # Payment and mail
    _token("sk_live_", "rk_live_", "sk_test_", "rk_test_", "whsec_", "sq0atp-", "sq0csp-", "access_token$production$"),
    _token("SG.", rest=r"[\w-]{16,}\.[\w-]{16,}"),
    _token("key-", rest=r"{}{{32}}(?![\w-])".format(_HEX)),
    (("-us",), lazy(r"(?<![\w-])[0-9a-f]{32}-us\d{1,2}(?!\w)")),
    (("sk", "ac"), lazy(r"(?<![A-Za-z0-9])(?:SK|AC)[0-9a-f]{32}(?![0-9a-zA-Z])")),
    _token("shpat_", "shpca_", "shppa_", "shpss_", "xkeysib-", "EAACEdEose0cBA", "EAAA", rest=r"[\w-]{20,}"),
    # Models and data
    _token("sk-", "sk_", "rk-", "pk-", rest=r"(?=[\w-]*\d)(?:live|test|proj|ant|svcacct|or)?[\w-]{20,}"),
    _token("hf_", "api_org_", "r8_", "gsk_", "pplx-", "xai-", "nvapi-", "fw_", "tgp_", "esecret_", rest=r"[\w-]{20,}"),
    _token("dapi", rest=r"{}{{32}}(?:-\d)?(?![\w-])".format(_HEX)),
    _token("lsv2_pt_", "lsv2_sk_", "pcsk_", "pscale_tkn_", "pscale_pw_", "pscale_oauth_", "sbp_", "sb_secret_", "pnu_"),
    _token("wandb_v1_", "phc_", "phx_", "co_api_", "cohere_", "comet_", "neptune_", "dop_v1_", "doo_v1_", "dor_v1_"),
    # Infrastructure
    _token("hvs.", "hvb.", "hvr.", rest=r"[\w-]{20,}"),
    (("s.",), lazy(r"(?<![\w./])s\.(?=\w*\d)(?=\w*[A-Z])[A-Za-z0-9]{24}(?!\w)")),
    (("atlasv1.",), lazy(r"(?<!\w)\w{14}\.atlasv1\.[\w-]{40,}")),
    _token("dp.pt.", "dp.st.", "dp.ct.", "dp.sa.", "dp.scim.", "dp.audit.", rest=r"[\w.-]{20,}"),
    _token("NRAK-", "NRII-", "NRRA-", "NRJS-", "glsa_", "glc_", "sntrys_", "sntryu_", "PMAK-", "ntn_", "lin_api_"),
    _token("AGE-SECRET-KEY-1", "figd_", "nfp_", "FlyV1 ", "fo1_", "HRKU-", "tskey-", "sgp_", "sl.", "vc_", "CCIPAT_"),
    _token("pat", rest=r"[A-Za-z0-9]{14}\.[0-9a-f]{64}"),
    # Formats
    (("eyj",), lazy(r"(?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*){1,3}")),
    (("bearer", "basic", "token ", "negotiate"), lazy(
        r"(?i)\b(?:bearer|basic|negotiate|token)\s+(?P<value>(?=[A-Za-z._~+/=-]*\d|[A-Za-z0-9+/]+=)[A-Za-z0-9._~+/=-]{16,})"
    )),
    (("ls0tls1crudj",), lazy(r"LS0tLS1CRUdJ[A-Za-z0-9+/=\s]{20,}")),
]  # fmt: skip

PRIVATE_KEY = lazy(
    r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----|\Z)",
    re.DOTALL,
)

LONG = lazy(r"(?<![\w/.+=-])[A-Za-z0-9+=_-][A-Za-z0-9+/=_-]{31,}(?![\w/.-])")
LONG_LENGTH = 32
# What stands before random text that is public: digests, fingerprints, public keys, pictures.
_PUBLIC = lazy(
    r"(?i)(?:sha\d+|md5|blake2b|etag|checksum|fingerprint|integrity|base64,|ssh-\w+ |ecdsa-[\w-]+ )[\"'\s:=-]*$"
)
_PUBLIC_WITHIN = lazy(r"(?i)^(?:sha\d+|md5|blake2b)[=-]")
_ENCODED = lazy(r"(?<![\w/.+-])[A-Za-z0-9+/_-]{16,}={0,2}(?![\w/+=-])")
_LOWER_RUN = lazy(r"[a-z]{4,}")


def entropy(text: str) -> float:
    """Bits a character."""
    length = len(text)
    return -sum(n / length * math.log2(n / length) for n in (text.count(c) for c in set(text)))


def looks_random(value: str) -> bool:
    """Whether a value looks like a key rather than a word, a number, a path or a sentence."""
    if len(value) < 12 or re.search(r"[\s/\\<>()]", value):
        return False
    kinds = sum(bool(re.search(kind, value)) for kind in ("[a-z]", "[A-Z]", "[0-9]"))
    return kinds >= 2 and bool(re.search("[0-9]", value)) and entropy(value) > 2.8 and not _is_words(value)


def is_long_secret(text: str, before: str) -> bool:
    """Whether text of 32 characters and more is random: Base64 or an alphabet like it, evenly spread, no words, no
    path, and not said to be public by what stands before it."""
    if _PUBLIC_WITHIN.match(text) or _PUBLIC.search(before[-40:]) or _is_words(text):
        return False
    upper, lower, digit = (bool(re.search(kind, text)) for kind in ("[A-Z]", "[g-z]", "[0-9]"))
    if not (lower and digit):
        return False
    if upper:
        return text.count("/") <= len(text) // 12 and text.count("-") < 4 and entropy(text) > 4.2
    return len(text) >= 40 and not re.search("[-_/+=]", text) and entropy(text) > 4.0


def _is_words(text: str) -> bool:
    """Whether much of it is runs of small letters, as in words; in random text they are rare and short."""
    return sum(map(len, _LOWER_RUN.findall(text))) >= 0.45 * len(text)


def decoded(text: str) -> "List[Tuple[str, str]]":
    """What is Base64 of readable text, with that text."""
    import binascii

    found = []
    for match in _ENCODED.finditer(text):
        word = match.group()
        if not (re.search("[A-Z]", word) and re.search("[a-z]", word)):
            continue
        padding = "=" * (-len(word) % 4)
        if len(padding) + word.count("=") > 2:
            continue
        try:
            plain = binascii.a2b_base64(word.replace("-", "+").replace("_", "/") + padding).decode("utf-8")
        except ValueError:
            continue
        if plain.isprintable() or "\n" in plain:
            found.append((word, plain))
    return found
