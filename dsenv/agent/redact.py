"""Hides secrets in everything that is stored or shown: by name, by value, and by what is known from the environment.

Names match by their words: `db_password`, `AWS_SECRET_ACCESS_KEY` and `apiKey` are secret whatever they hold. Words
that also mean harmless things (key, token, auth, session) count only for a value that looks random. Values match by
their shape: URLs with a password, keys of cloud services, tokens, private keys, and long random text. Paths never do.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Any, Dict, List, Mapping, Sequence, Set, Tuple, cast

from dsenv.agent.schema import Failure, Local, Redaction

HIDDEN = "<redacted>"

_STRONG = frozenset([
    "password", "passwd", "passwort", "pwd", "passphrase", "secret", "secrets", "credential", "credentials", "apikey",
    "apikeys", "accesskey", "secretkey", "privatekey", "authtoken", "accesstoken", "refreshtoken",
])  # fmt: skip
_PAIRS = frozenset(
    [
        *(
            (first, "key")
            for first in ("api", "access", "secret", "private", "signing", "encryption", "account", "ssh")
        ),
        *((first, "token") for first in ("api", "access", "auth", "refresh", "session", "bearer", "id", "security")),
        ("connection", "string"),
        ("pass", "word"),
    ]
)
_WEAK = frozenset([
    "key", "token", "auth", "session", "cookie", "sid", "pass", "bearer", "authorization", "signature", "dsn",
])  # fmt: skip
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")

_NAME = r"[A-Za-z_][\w.-]*"
# name = "value", 'name': 'value', --name value, name=value: the name decides.
_ASSIGNED = re.compile(
    r"(?P<name>" + _NAME + r")(?P<mid>['\"]?\s*(?:=|:)\s*)"
    r"(?P<value>b?'(?:[^'\\\n]|\\.)*'?|b?\"(?:[^\"\\\n]|\\.)*\"?|[^\s,;&'\"(){}\[\]<>]+)"
)
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)
# Each with text of which some must be there, in lower case: looking for that is what makes gigabytes of output cheap.
_SHAPES = (
    (("://",), re.compile(r"(?<=://)(?P<user>[^\s/:@'\"]*):(?P<value>[^\s/@'\"]+)(?=@)")),
    (("akia", "asia"), re.compile(r"\b(?P<value>(?:AKIA|ASIA)[0-9A-Z]{16})\b")),
    (
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-"),
        re.compile(r"\b(?P<value>gh[pousr]_[A-Za-z0-9]{36,}|github_pat_\w{22,}|glpat-[\w-]{20,})"),
    ),
    (("xox",), re.compile(r"\b(?P<value>xox[abprs]-[A-Za-z0-9-]{10,})")),
    (("aiza",), re.compile(r"\b(?P<value>AIza[\w-]{35})")),
    (
        ("sk-", "sk_", "rk-", "rk_", "pk-", "pk_"),
        re.compile(r"\b(?P<value>(?:sk|rk|pk)[-_](?:live|test|proj|ant)?[-_]?[A-Za-z0-9_-]{20,})"),
    ),
    (("eyj",), re.compile(r"\b(?P<value>eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*)")),
    (("bearer", "basic"), re.compile(r"(?i)\b(?:bearer|basic)\s+(?P<value>[A-Za-z0-9._~+/=-]{16,})")),
)
_HINTS = (
    *("pass", "pwd", "secret", "credential", "key", "token", "auth", "session", "cookie", "sid", "bearer"),
    *("signature", "dsn", "connection"),
)
_LONG = re.compile(r"(?<![\w/.+=-])[A-Za-z0-9+=_-][A-Za-z0-9+/=_-]{31,}(?![\w/.-])")
_LONG_LENGTH = 32
_KNOWN_LENGTH = 6
_HARMLESS_VALUES = frozenset(["", "true", "false", "none", "null", "yes", "no", "0", "1"])


def words(name: str) -> List[str]:
    """The words of a variable's name, lower case: `dbPassword`, `DB_PASSWORD` and `db-password` are two words."""
    return [word.lower() for word in _WORD.findall(name)]


@lru_cache(maxsize=4096)
def is_secret_name(name: str) -> bool:
    """Whether the name alone says that its value is a secret."""
    parts = words(name)
    return any(part in _STRONG for part in parts) or any(pair in _PAIRS for pair in zip(parts, parts[1:]))


@lru_cache(maxsize=4096)
def may_be_secret_name(name: str) -> bool:
    """Whether the name is that of a secret if the value looks like one."""
    return any(part in _WEAK for part in words(name))


def entropy(text: str) -> float:
    """Bits a character."""
    length = len(text)
    return -sum(n / length * math.log2(n / length) for n in (text.count(c) for c in set(text)))


def looks_random(value: str) -> bool:
    """Whether a value looks like a key rather than a word, a number, a path or a sentence."""
    if len(value) < 12 or re.search(r"[\s/\\<>()]", value):
        return False
    kinds = sum(bool(re.search(kind, value)) for kind in ("[a-z]", "[A-Z]", "[0-9]"))
    return kinds >= 2 and bool(re.search("[0-9]", value)) and entropy(value) > 2.8


def _is_long_secret(text: str) -> bool:
    """Base64 of random bytes: all kinds of characters, evenly spread, and not a path."""
    kinds = all(re.search(kind, text) for kind in ("[a-z]", "[A-Z]", "[0-9]"))
    return kinds and text.count("/") <= len(text) // 16 and text.count("-") < 4 and entropy(text) > 4.2


class Redactor:
    """Hides, and remembers what it hid. `found` lists each place once; values are never kept in it.

    Secrets that are found whole in the environment or the arguments are hidden wherever they appear later.
    """

    def __init__(self) -> None:
        self.found: List[Redaction] = []
        self._places: Set[Tuple[str, str, str]] = set()
        self._known: Set[str] = set()

    def note(self, where: str, name: str, reason: str) -> None:
        """Remember that something was hidden."""
        place = (where, name, reason)
        if place not in self._places and len(self._places) < 1000:
            self._places.add(place)
            self.found.append({"where": where, "name": name, "reason": reason})

    def know(self, value: str) -> None:
        """A secret whose value is known: it is hidden in all that follows."""
        if len(value) >= _KNOWN_LENGTH and value.lower() not in _HARMLESS_VALUES:
            self._known.add(value)

    def env(self, environ: Mapping[str, str]) -> Dict[str, str]:
        """Environment variables."""
        return {name: self.named(name, value, "env", name) for name, value in environ.items()}

    def named(self, name: str, value: str, where: str, place: str) -> str:
        """A value that has a name. Numbers and switches are no secrets, whatever they are called."""
        if value.lower() in _HARMLESS_VALUES or value.startswith(HIDDEN):
            return value
        if (is_secret_name(name) and not _is_path(value)) or (may_be_secret_name(name) and looks_random(value)):
            self.know(value)
            self.note(where, place, "name")
            return HIDDEN
        return self.text(value, where, place)

    def argv(self, arguments: Sequence[str]) -> List[str]:
        """A command line: `--password x`, `--password=x`, and secrets by shape."""
        shown: List[str] = []
        option = ""
        for index, word in enumerate(arguments):
            if option and not word.startswith("-"):
                shown.append(self.named(option, word, "argv", str(index)))
                option = ""
                continue
            name, equals, value = word.partition("=")
            option = name.lstrip("-") if word.startswith("--") and not equals else ""
            if equals and re.fullmatch(r"-{0,2}[\w.-]+", name):
                shown.append(name + "=" + self.named(name.lstrip("-"), value, "argv", str(index)))
            else:
                shown.append(self.text(word, "argv", str(index)))
        return shown

    def text(self, text: str, where: str, place: str) -> str:
        """Any text."""
        for value in self._known:
            if value in text:
                text = text.replace(value, HIDDEN)
                self.note(where, place, "value")
        lower = text.lower()
        if "private key-----" in lower:
            text = self._replace(_PRIVATE_KEY, text, where, place)
        if ("=" in text or ":" in text) and any(hint in lower for hint in _HINTS):
            text = "".join(self._line(line, where, place) for line in text.splitlines(keepends=True))
        for literals, pattern in _SHAPES:
            if any(literal in lower for literal in literals):
                text = self._replace(pattern, text, where, place)
        if max(map(len, text.split()), default=0) >= _LONG_LENGTH:
            text = _LONG.sub(lambda match: self._long(match.group(), where, place), text)
        return text

    def _line(self, line: str, where: str, place: str) -> str:
        """One line, in which a name may be followed by its value."""
        lower = line.lower()
        if not any(hint in lower for hint in _HINTS):
            return line
        return _ASSIGNED.sub(lambda match: self._assigned(match, where, place), line)

    def _assigned(self, match: "re.Match[str]", where: str, place: str) -> str:
        name, value = match.group("name"), match.group("value")
        if not is_secret_name(name) and not may_be_secret_name(name):
            return match.group()
        bare = value.strip("b'\"") if value[:1] in "b'\"" else value
        if not bare or bare.lower() in _HARMLESS_VALUES or bare.startswith(HIDDEN[:4]):
            return match.group()
        quoted = value[:1] in "'\"" or value[:2] in ("b'", 'b"')
        secret = is_secret_name(name) and not _is_number(bare) and (quoted or "=" in match.group("mid") or _odd(bare))
        if not (secret and not _is_path(bare)) and not (may_be_secret_name(name) and looks_random(bare)):
            return match.group()
        self.note(where, place, "name")
        hidden = "'" + HIDDEN + "'" if quoted else HIDDEN
        return name + match.group("mid") + hidden

    def _replace(self, pattern: "re.Pattern[str]", text: str, where: str, place: str) -> str:
        def hide(match: "re.Match[str]") -> str:
            value = match.groupdict().get("value") or match.group()
            if value.startswith(HIDDEN):
                return match.group()
            self.note(where, place, "value")
            return match.group().replace(value, HIDDEN)

        return pattern.sub(hide, text)

    def _long(self, text: str, where: str, place: str) -> str:
        if not _is_long_secret(text):
            return text
        self.note(where, place, "value")
        return HIDDEN

    def failure(self, failure: Failure) -> None:
        """Everything that a process said of its failure, in place."""
        failure["argv"] = self.argv(failure.get("argv", []))
        for error in failure.get("exceptions", []):
            self._exception(error)

    def _exception(self, error: Any) -> None:
        for frame in error.get("frames", []):
            place = "{}:{}".format(frame.get("function", "?"), frame.get("line", 0))
            for local in frame.get("locals", []):
                self.local(local, place)
            frame["source"] = [self.text(line, "locals", place) for line in frame.get("source", [])]
        error["message"] = self.text(error.get("message", ""), "message", error.get("type", ""))
        error["notes"] = [self.text(note, "message", error.get("type", "")) for note in error.get("notes", [])]
        for member in error.get("members", []):
            self._exception(member)

    def local(self, local: Local, place: str, depth: int = 0) -> None:
        """A local variable with what it contains, in place."""
        name, preview = local.get("name", "").strip("'\""), local.get("preview", "")
        where = "{} {}".format(place, name) if depth == 0 else place
        if self._is_secret(name, local, preview):
            self.note("locals", where, "name")
            self.know(preview.strip("b'\""))
            name_of, kind = local.get("name", ""), local.get("type", "")
            values = cast(Dict[str, Any], local)
            values.clear()
            values.update(name=name_of, type=kind, preview=HIDDEN, redacted=True)
            return
        for item in local.get("items", []):
            self.local(item, where, depth + 1)
        for column in local.get("columns", []):
            self._column(column, where)
        local["preview"] = self.text(preview, "locals", where)

    def _is_secret(self, name: str, local: Local, preview: str) -> bool:
        """Text is, containers and objects are looked into, numbers and arrays are what people need to see."""
        if local.get("type") not in ("str", "bytes", "bytearray", "SecretStr", "SecretBytes"):
            return False
        bare = preview.strip("b'\"")
        if bare.lower() in _HARMLESS_VALUES or _is_path(bare):
            return False
        return is_secret_name(name) or (may_be_secret_name(name) and looks_random(bare))

    def _column(self, column: Dict[str, Any], place: str) -> None:
        if is_secret_name(str(column.get("name", ""))):
            self.note("locals", "{} {}".format(place, column.get("name")), "name")
            for key in ("top", "min", "max"):
                column.pop(key, None)
            return
        top = column.get("top")
        if isinstance(top, dict):
            column["top"] = {self.text(str(key), "locals", place): value for key, value in top.items()}


def _is_path(value: str) -> bool:
    return bool(re.match(r"(?:/|~/|\.{1,2}/|[A-Za-z]:\\)", value)) and "://" not in value


def _is_number(value: str) -> bool:
    return bool(re.fullmatch(r"[-+]?[\d.,]+(?:[eE][-+]?\d+)?", value))


def _odd(value: str) -> bool:
    """Whether a bare word after `password:` is a value rather than the next word of a sentence."""
    return bool(re.search(r"[0-9]", value)) or not value.isalpha()
