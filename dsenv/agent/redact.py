"""Hides secrets in everything that is stored or shown: by name, by value, and by what is known from the environment.

Names match by their words: `db_password`, `AWS_SECRET_ACCESS_KEY` and `apiKey` are secret whatever they hold. Words
that also mean harmless things (key, token, auth, session) count only for a value that looks random. Values match by
their shape: URLs with a password, keys of cloud services, tokens, private keys, and long random text. Paths never do.
"""

from __future__ import annotations

import re

from dsenv.agent import tokens
from dsenv.agent.light import TYPE_CHECKING, cast
from dsenv.agent.patterns import lazy
from dsenv.agent.secret_names import is_secret_name, may_be_secret_name, words

if TYPE_CHECKING:
    from typing import Any, Dict, List, Mapping, Sequence, Set, Tuple

    from dsenv.agent.schema import Failure, Local, Redaction

HIDDEN = "<redacted>"


_NAME = r"[A-Za-z_][\w.-]*"
# name = "value", 'name': 'value', --name value, name=value: the name decides.
_ASSIGNED = lazy(
    r"(?P<name>" + _NAME + r")(?P<mid>['\"]?\s*(?:=>|:=|=|:)\s*)"
    r"(?P<value>[bfru]?'(?:[^'\\\n]|\\.)*'?|[bfru]?\"(?:[^\"\\\n]|\\.)*\"?|\{[^{}\n]*\}|[^\s,;&'\"(){}\[\]<>]{1,500})"
)
_REST = lazy(r"[^\s,;&'\"(){}\[\]<>]*")
# A line that is nothing but a name and its value, as in YAML: there a plain word is a value.
_WHOLE_LINE = lazy(r"^\s*(?:-\s+)?['\"]?(?P<name>" + _NAME + r")['\"]?\s*:\s+(?P<value>[^\s'\"#{\[|>&*!]\S*)\s*$")
_OPTION = lazy(r"(?<!\S)--?(?P<name>[A-Za-z][\w-]*)[ \t]+(?P<value>'[^'\n]*'|\"[^\"\n]*\"|[^\s'\"-]\S*)")
_HEADER = lazy(r"(?i)\b(?P<name>set-cookie|cookie)(?P<mid>\s*[:=]\s*['\"]?)(?P<value>[^\n'\"]+)")
_COOKIE = lazy(r"(?P<name>[\w.-]+)=(?P<value>[^;\s,]{6,})")
# Part of every name that is or may be a secret's, in lower case, with what may follow such a name.
_HINT = lazy(
    r"(?:pass|pwd|kennwort|secret|cred|key|token|auth|session|cookie|sid|bearer|pw|sig|dsn|connection|otp|nonce|jwt|salt"
    r"|seed|webhook|license|pat)[\w.-]*['\"]?(?:\s*[=:]|[ \t]+\S)"
)
_COOKIE_ATTRIBUTES = frozenset(["path", "domain", "expires", "samesite", "max-age", "version"])
_KNOWN_LENGTH = 6
_UNQUOTED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-~")
_LOOKED_AT = 8192
_HARMLESS_VALUES = frozenset(["", "true", "false", "none", "null", "yes", "no", "0", "1", "nan", "undefined", "..."])


def _is_harmless(value: str) -> bool:
    """Switches, paths, and masks that somebody else has put there."""
    return value.lower() in _HARMLESS_VALUES or value.startswith(HIDDEN) or _is_path(value) or not value.strip("*x•.-#")


def _is_secret(name: str, value: str) -> bool:
    """Whether name and value together are a secret."""
    if _is_harmless(value):
        return False
    if is_secret_name(name):
        return True
    if not may_be_secret_name(name):
        return False
    return tokens.looks_random(value) or (words(name)[-1] == "token" and bool(_SHORT_TOKEN.fullmatch(value)))


_SHORT_TOKEN = lazy(r"(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])[A-Za-z0-9]{8,}")


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
        """A secret whose value is known: it is hidden in all that follows, also where it was encoded."""
        if len(value) < _KNOWN_LENGTH or value.lower() in _HARMLESS_VALUES or value in self._known:
            return
        import base64
        import json

        data = value.encode("utf-8", "surrogateescape")
        # Base64 of text that has the secret somewhere within: three ways, by where it begins.
        forms = {value, _quoted(data), _quoted(data).replace("%20", "+")}
        forms |= {json.dumps(value)[1:-1], repr(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
        for shift in range(3):
            text = base64.b64encode(b"\0" * shift + data).decode("ascii")
            inner = text[(0, 2, 3)[shift] : len(text) // 4 * 4 - 4 if (shift + len(data)) % 3 else len(text)]
            forms |= {inner, inner.replace("+", "-").replace("/", "_")}
        self._known |= {form for form in forms if len(form) >= _KNOWN_LENGTH}

    def env(self, environ: Mapping[str, str]) -> Dict[str, str]:
        """Environment variables."""
        return {name: self.named(name, value, "env", name) for name, value in environ.items()}

    def named(self, name: str, value: str, where: str, place: str) -> str:
        """A value that has a name. Numbers and switches are no secrets, whatever they are called."""
        if _is_secret(name, value):
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
            bare = name[2:] if name.startswith("-D") else name.lstrip("-")  # as Java and CMake define
            option = bare if word.startswith("--") and not equals else ""
            if equals and re.fullmatch(r"-{0,2}[\w.-]+", name):
                shown.append(name + "=" + self.named(bare, value, "argv", str(index)))
            else:
                shown.append(self.text(word, "argv", str(index)))
        return shown

    def text(self, text: str, where: str, place: str) -> str:
        """Any text."""
        for value in sorted(self._known, key=len, reverse=True) if self._known else ():
            if value in text:
                text = text.replace(value, HIDDEN)
                self.note(where, place, "value")
        lower = text.lower()
        if "private key" in lower:
            text = self._replace(tokens.PRIVATE_KEY, text, where, place)
        if _HINT.search(lower):
            text = "".join(self._line(line, where, place) for line in text.splitlines(keepends=True))
        text = self._shapes(tokens.SHORT_SHAPES, text, lower, where, place)
        if tokens.LONG_WORD.search(text):
            text = "".join(self._long_words(line, where, place) for line in text.splitlines(keepends=True))
        return text

    def data(self, data: bytes, where: str, place: str) -> bytes:
        """Bytes that may be text; what has zeros in it is none."""
        if b"\0" in data[:_LOOKED_AT]:
            return data
        # latin-1 gives every byte back as it was; the patterns are ASCII.
        return self.text(data.decode("latin-1"), where, place).encode("latin-1")

    def _shapes(self, shapes: Sequence[tokens.Shape], text: str, lower: str, where: str, place: str) -> str:
        for literals, pattern in shapes:
            if any(literal in lower for literal in literals):
                text = self._replace(pattern, text, where, place)
        return text

    def _long_words(self, line: str, where: str, place: str) -> str:
        """A line, in which a word may be long enough for a token."""
        if not tokens.LONG_WORD.search(line):
            return line
        line = self._shapes(tokens.SHAPES, line, line.lower(), where, place)
        line = self._encoded(line, where, place)
        return tokens.LONG.sub(lambda match: self._long(match, where, place), line)

    def _line(self, line: str, where: str, place: str) -> str:
        """One line, in which a name may be followed by its value."""
        lower = line.lower()
        if not _HINT.search(lower):
            return line
        if "cookie" in lower:
            line = _HEADER.sub(lambda match: self._cookies(match, where, place), line)
        whole = _WHOLE_LINE.match(line)
        if whole and _is_secret(whole.group("name"), whole.group("value")) and not _is_number(whole.group("value")):
            self.note(where, place, "name")
            return line[: whole.start("value")] + HIDDEN + line[whole.end("value") :]
        if "=" in line or ":" in line:
            line = self._assignments(line, where, place)
        if "-" in line:
            line = _OPTION.sub(lambda match: self._option(match, where, place), line)
        return line

    def _assignments(self, text: str, where: str, place: str) -> str:
        """All names with values. What follows a name that is none of a secret's may begin with another name."""
        parts: List[str] = []
        position = 0
        while True:
            match = _ASSIGNED.search(text, position)
            if match is None:
                return "".join(parts) + text[position:]
            shown = self._assigned(match, where, place)
            parts += [text[position : match.start()], shown]
            position = match.end()
            if shown == match.group():
                position = match.end("mid")
                parts[-1] = text[match.start() : position]
            elif match.group()[-1] not in "'\"}":
                position = _REST.match(text, position).end()  # type: ignore[union-attr]

    def _assigned(self, match: "re.Match[str]", where: str, place: str) -> str:
        name, value = match.group("name", "value")
        if value[:1] != "{" and not is_secret_name(name) and not may_be_secret_name(name):
            return match.group()
        if value[:1] == "{":
            bare = value[1:-1]
            if not is_secret_name(name) or ":" in bare or "," in bare:  # a dict or a set, which is looked into
                inner = self._assignments(bare, where, place)
                return name + match.group("mid") + "{" + inner + "}"
        else:
            bare = value.lstrip("bfru").strip("'\"") if value[-1:] in "'\"" else value.lstrip("'\"")
        quoted = value[:1] in "'\"" or value[1:2] in ("'", '"')
        sure = quoted or "=" in match.group("mid") or _odd(bare)
        if not sure or _is_number(bare) or bare.startswith(HIDDEN[:4]) or not _is_secret(name, bare):
            return match.group()
        self.note(where, place, "name")
        hidden = "'" + HIDDEN + "'" if quoted else HIDDEN
        return name + match.group("mid") + hidden

    def _option(self, match: "re.Match[str]", where: str, place: str) -> str:
        bare = match.group("value").strip("'\"")
        if _is_number(bare) or not _is_secret(match.group("name"), bare):
            return match.group()
        self.note(where, place, "name")
        return match.group()[: match.start("value") - match.start()] + HIDDEN

    def _cookies(self, match: "re.Match[str]", where: str, place: str) -> str:
        def hide(found: "re.Match[str]") -> str:
            if found.group("name").lower() in _COOKIE_ATTRIBUTES or found.group("value").startswith(HIDDEN):
                return found.group()
            self.note(where, place, "name")
            return found.group("name") + "=" + HIDDEN

        return match.group("name") + match.group("mid") + _COOKIE.sub(hide, match.group("value"))

    def _encoded(self, text: str, where: str, place: str) -> str:
        """Base64 in which there is something to hide."""
        for word, plain in tokens.decoded(text):
            inner = Redactor()
            inner._known = self._known
            if inner.text(plain, where, place) != plain:
                text = text.replace(word, HIDDEN)
                self.note(where, place, "value")
        return text

    def _replace(self, pattern: "re.Pattern[str]", text: str, where: str, place: str) -> str:
        def hide(match: "re.Match[str]") -> str:
            value = match.groupdict().get("value") or match.group()
            if value.startswith(HIDDEN) or not value.strip("*x•.-#"):
                return match.group()
            self.note(where, place, "value")
            return match.group().replace(value, HIDDEN)

        return pattern.sub(hide, text)

    def _long(self, match: "re.Match[str]", where: str, place: str) -> str:
        if not tokens.is_long_secret(match.group(), match.string[max(0, match.start() - 40) : match.start()]):
            return match.group()
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

    def local(self, local: Local, place: str, depth: int = 0, *, secret: bool = False) -> None:
        """A local variable with what it contains, in place. `secret`: what it lies in is called so."""
        name, preview = local.get("name", "").strip("'\""), local.get("preview", "")
        where = "{} {}".format(place, name) if depth == 0 else place
        secret = secret or is_secret_name(name)
        if self._hides(name, local, preview, secret):
            self.note("locals", where, "name")
            self.know(preview.strip("b'\""))
            self._blank(local)
            return
        for item in local.get("items", []):
            self.local(item, where, depth + 1, secret=secret)
        hidden = [self._column(column, where) for column in local.get("columns", [])]
        if any(hidden) or (secret and (local.get("items") or _is_text(local))):
            local["preview"] = HIDDEN  # it shows the values once more
        else:
            local["preview"] = self.text(preview, "locals", where)

    def _blank(self, local: Local) -> None:
        kept = {"name": local.get("name", ""), "type": local.get("type", "")}
        values = cast("Dict[str, Any]", local)
        values.clear()
        values.update(kept, preview=HIDDEN, redacted=True)

    def _hides(self, name: str, local: Local, preview: str, secret: bool) -> bool:
        """Text is hidden, containers and objects are looked into, numbers and arrays are what people need to see."""
        if local.get("type") not in ("str", "bytes", "bytearray", "SecretStr", "SecretBytes"):
            return False
        bare = preview.strip("b'\"")
        return (secret and not _is_harmless(bare)) or _is_secret(name, bare)

    def _column(self, column: Dict[str, Any], place: str) -> bool:
        """Whether the values of a column were hidden."""
        if is_secret_name(str(column.get("name", ""))) and str(column.get("dtype", "object"))[:1] not in "iufb":
            self.note("locals", "{} {}".format(place, column.get("name")), "name")
            for key in ("top", "min", "max"):
                column.pop(key, None)
            return True
        top = column.get("top")
        if isinstance(top, dict):
            column["top"] = {self.text(str(key), "locals", place): value for key, value in top.items()}
        return False


def _quoted(data: bytes) -> str:
    """As urllib.parse.quote, which takes long to load, whole."""
    return "".join(chr(byte) if byte in _UNQUOTED else "%{:02X}".format(byte) for byte in data)


def _is_text(local: Local) -> bool:
    return str(local.get("dtype", "")).startswith(("object", "<U", "|S", "str"))


def _is_path(value: str) -> bool:
    return bool(re.match(r"(?:/|~/|\.{1,2}/|[A-Za-z]:\\)", value)) and "://" not in value


def _is_number(value: str) -> bool:
    return bool(re.fullmatch(r"[-+]?[\d.,]+(?:[eE][-+]?\d+)?", value))


def _odd(value: str) -> bool:
    """Whether a bare word after `password:` is a value rather than the next word of a sentence."""
    return bool(re.search(r"[0-9]", value)) or not value.isalpha()
