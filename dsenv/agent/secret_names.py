"""Which names are those of secrets, by their words: `db_password`, `AWS_SECRET_ACCESS_KEY` and `apiKey` are."""

from __future__ import annotations

from functools import lru_cache

from dsenv.agent.light import TYPE_CHECKING
from dsenv.agent.patterns import lazy

if TYPE_CHECKING:
    from typing import List

_STRONG = frozenset([
    "password", "passwords", "passwd", "passwort", "kennwort", "pwd", "passphrase", "passcode", "secret", "secrets",
    "credential", "credentials", "creds", "apikey", "apikeys", "accesskey", "secretkey", "privatekey", "accountkey",
    "authtoken", "accesstoken", "refreshtoken", "sessiontoken", "authkey", "sharedaccesskey", "pgpassword",
    "pgpass", "mysqlpwd", "pw", "htpasswd", "fernetkey", "encryptionkey", "signingkey", "webhooksecret", "clientsecret",
])  # fmt: skip
_PAIRS = frozenset(
    [
        *(
            (first, "key")
            for first in (
                *("api", "access", "secret", "private", "signing", "encryption", "account", "ssh", "fernet", "master"),
                *("auth", "license", "app", "subscription", "service", "hmac", "storage", "deploy"),
            )
        ),
        *(
            (first, "token")
            for first in (
                *("api", "access", "auth", "refresh", "session", "bearer", "security", "bot", "deploy", "personal"),
                *("oauth", "csrf", "vault", "job", "ci"),
            )
        ),
        *(("db", last) for last in ("pass", "pw")),
        *(("user", last) for last in ("pass", "pw")),
        ("connection", "string"),
        ("pass", "word"),
        ("webhook", "url"),
        ("my", "pwd"),
    ]
)
_WEAK = frozenset([
    "key", "keys", "token", "tokens", "auth", "session", "cookie", "cookies", "sid", "pass", "bearer", "authorization",
    "signature", "sig", "dsn", "nonce", "otp", "pat", "seed", "salt", "jwt", "license",
])  # fmt: skip
# `password_policy`, `secret_arn`, `api_key_name`: what is said of a secret is none.
_ABOUT = frozenset([
    "policy", "length", "len", "column", "columns", "col", "field", "fields", "name", "names", "file", "path", "dir",
    "folder", "type", "types", "kind", "url", "uri", "host", "endpoint", "expiry", "expires", "expiration", "ttl",
    "age", "count", "min", "max", "arn", "hint", "prompt", "required", "enabled", "disabled", "version", "reset",
    "strength", "rotation", "days", "minutes", "seconds", "timeout", "limit", "format", "header", "prefix", "suffix",
    "scope", "scopes", "algorithm", "size", "bits", "label", "error", "errors", "manager", "provider", "store",
    "backend", "vault", "source", "status", "ok", "valid", "is", "check", "regex", "pattern", "rules", "method",
])  # fmt: skip
_WORD = lazy(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def words(name: str) -> List[str]:
    """The words of a variable's name, lower case: `dbPassword`, `DB_PASSWORD` and `db-password` are two words."""
    return [word.lower() for word in _WORD.findall(name)]


@lru_cache(maxsize=4096)
def is_secret_name(name: str) -> bool:
    """Whether the name alone says that its value is a secret."""
    parts = words(name)
    if not parts or (parts[-1] in _ABOUT and (parts[-2:] != ["webhook", "url"])):
        return False
    if any(part in _STRONG for part in parts) or any(pair in _PAIRS for pair in zip(parts, parts[1:])):
        return True
    return "".join(parts) in _STRONG


@lru_cache(maxsize=4096)
def may_be_secret_name(name: str) -> bool:
    """Whether the name is that of a secret if the value looks like one."""
    parts = words(name)
    return any(part in _WEAK for part in parts) and parts[-1] not in _ABOUT
