from __future__ import annotations

import json
import string
import time
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsenv.agent.redact import HIDDEN, Redactor
from dsenv.agent.schema import Failure, Local
from dsenv.agent.secret_names import is_secret_name, may_be_secret_name, words
from dsenv.agent.tokens import looks_random

TOKEN = "ghp_" + "a1B2" * 9
BASE64 = "Zm9vYmFyQmF6UXV4MTIzNDU2Nzg5MGFiY2RlZkdISUpLTE1OT1A"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJlLW9mLWl0"


@pytest.mark.parametrize(
    "name",
    ["PASSWORD", "db_password", "dbPassword", "aws_secret_access_key", "api_key", "apiKey", "API-KEY", "ACCESS_TOKEN",
     "client_secret", "PGPASSWORD_pwd", "private_key", "df_password", "credentials"],
)  # fmt: skip
def test_names_of_secrets(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name", ["tokenizer", "sort_keys", "author", "spark_session", "keyboard", "monkey", "passenger", "path", "compass"]
)
def test_names_that_only_look_alike(name: str) -> None:
    assert not is_secret_name(name)
    assert Redactor().named(name, "plain value", "locals", name) == "plain value"


def test_the_words_of_a_name() -> None:
    assert words("awsSecretKey_ID2") == ["aws", "secret", "key", "id", "2"]
    assert words("HTTPAuth") == ["http", "auth"]


@pytest.mark.parametrize("name", ["key", "token", "session", "auth", "SORT_KEY"])
def test_single_words_count_only_for_values_that_look_secret(name: str) -> None:
    assert may_be_secret_name(name)
    redactor = Redactor()
    for harmless in ("name", "by-date", "/etc/keys/x1", "12", "true", "user_id", "two words 12345"):
        assert redactor.named(name, harmless, "env", name) == harmless
    assert redactor.named(name, "9f8aB7c6D5e4F3", "env", name) == HIDDEN


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("postgres://me:s3cr3t@db.example.invalid/x", "s3cr3t"),
        ("key AKIAIOSFODNN7EXAMPLE here", "AKIAIOSFODNN7EXAMPLE"),
        (f"using {TOKEN}", TOKEN),
        (f"Authorization: Bearer {JWT}", JWT),
        ("password=hunter2x", "hunter2x"),
        ("{'db_password': 'correct horse', 'rows': 3}", "correct horse"),
        ('{"api_key": "abc def", "n": 1}', "abc def"),
        ("Config(password='a\\'b', size=3)", "a\\'b"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY-----", "MIIE"),
        (f"blob {BASE64} end", BASE64),
    ],
)  # fmt: skip
def test_secrets_in_text(text: str, secret: str) -> None:
    redactor = Redactor()
    shown = redactor.text(text, "output", "stdout")
    assert secret not in shown
    assert HIDDEN in shown
    assert redactor.found
    assert secret not in json.dumps(redactor.found)
    assert redactor.text(shown, "output", "stdout") == shown


@pytest.mark.parametrize(
    "text",
    [
        "tokens: 512, sort_keys=True, author: Ada, key=name",
        "max_tokens=4096 session: <SparkSession at 0x7f>",
        "/opt/models/Zm9vYmFyQmF6UXV4MTIzNDU2Nzg5MGFiY2RlZkdISUpL/weights",
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "Enter password: ",
        "password = None",
        "the password is wrong",
        "http://example.invalid:8080/path",
        "123e4567-e89b-12d3-a456-426614174000",
        "KeyError: 'bamboo'",
    ],
)
def test_text_that_people_need_stays(text: str) -> None:
    assert Redactor().text(text, "output", "stdout") == text


def test_what_is_known_from_the_environment_is_hidden_wherever_it_appears() -> None:
    redactor = Redactor()
    shown = redactor.env({"DB_PASSWORD": "correct-horse", "PATH": "/usr/bin", "EMPTY_SECRET": "", "X_TOKEN": "none"})
    assert shown == {"DB_PASSWORD": HIDDEN, "PATH": "/usr/bin", "EMPTY_SECRET": "", "X_TOKEN": "none"}
    assert redactor.text("cannot log in with correct-horse!", "message", "E") == f"cannot log in with {HIDDEN}!"
    assert {(item["where"], item["reason"]) for item in redactor.found} == {("env", "name"), ("message", "value")}


def test_a_password_file_is_a_path() -> None:
    assert Redactor().env({"PASSWORD_FILE": "/run/secrets/db"}) == {"PASSWORD_FILE": "/run/secrets/db"}


def test_arguments() -> None:
    words = [
        "x",
        "--password",
        "pw-1234",
        "--api-key=k 1",
        "--rows",
        "10",
        "--password-file",
        "/a/b",
        "DB_PASSWORD=q9",
        TOKEN,
    ]
    shown = Redactor().argv(words)
    assert shown == [
        *("x", "--password", HIDDEN, f"--api-key={HIDDEN}", "--rows", "10", "--password-file", "/a/b"),
        *(f"DB_PASSWORD={HIDDEN}", HIDDEN),
    ]


def test_locals_are_hidden_recursively_and_numbers_stay() -> None:
    items: list[Local] = [
        {"name": "'password'", "type": "str", "preview": "'inner-secret'"},
        {"name": "'n'", "type": "int", "preview": "3"},
    ]
    table: Local = {
        "name": "table",
        "type": "DataFrame",
        "preview": "...",
        "columns": [{"name": "password", "top": {"x": 1}}, {"name": "city", "top": {"Ulm": 2}}],
    }
    failure: Failure = {
        "argv": ["python", "--token", TOKEN],
        "exceptions": [
            {
                "type": "ValueError",
                "message": "bad password='pw123'",
                "notes": [f"tried {TOKEN}"],
                "frames": [
                    {
                        "file": "/app/job.py",
                        "function": "f",
                        "line": 3,
                        "source": ["    password = 'in-the-source'"],
                        "locals": [
                            {
                                "name": "config",
                                "type": "dict",
                                "preview": "{'password': 'inner-secret'}",
                                "items": items,
                            },
                            {"name": "password", "type": "int", "preview": "12345"},
                            {"name": "secret", "type": "str", "preview": "'abcdef'"},
                            {"name": "secrets", "type": "numpy.ndarray", "preview": "array([1, 2])"},
                            table,
                        ],
                    }
                ],
            }
        ],
    }
    redactor = Redactor()
    redactor.failure(failure)
    text = json.dumps(failure)
    for secret in ("inner-secret", TOKEN, "pw123", "abcdef", "in-the-source"):
        assert secret not in text
    config, number, secret_, array, frame = failure["exceptions"][0]["frames"][0]["locals"]
    assert config["items"][0].get("redacted") is True and config["items"][1]["preview"] == "3"
    assert number["preview"] == "12345" and array["preview"] == "array([1, 2])"
    assert secret_ == {"name": "secret", "type": "str", "preview": HIDDEN, "redacted": True}
    assert frame["columns"] == [{"name": "password"}, {"name": "city", "top": {"Ulm": 2}}]


SECRETS = st.text(string.ascii_letters + string.digits, min_size=14, max_size=40).filter(looks_random)


@given(SECRETS, st.text(max_size=40), st.text(max_size=40))
def test_a_known_secret_is_never_shown(secret: str, before: str, after: str) -> None:
    redactor = Redactor()
    redactor.env({"THE_PASSWORD": secret})
    local = cast(Local, {"name": "x", "type": "str", "preview": before + secret + after})
    redactor.local(local, "f:1")
    assert secret not in redactor.text(before + secret + after, "output", "stdout")
    assert secret not in local["preview"]
    assert secret not in json.dumps(redactor.found)


@given(st.text(max_size=300))
def test_any_text_is_taken_and_redacting_twice_changes_nothing(text: str) -> None:
    redactor = Redactor()
    once = redactor.text(text, "output", "stdout")
    assert redactor.text(once, "output", "stdout") == once


def test_it_is_fast_on_hostile_text() -> None:
    begun = time.process_time()
    for text in (
        *("a=" * 20_000, "://" * 20_000, "-----BEGIN PRIVATE KEY-----" * 500, "A" * 100_000, "eyJ" * 20_000),
        *("curl " * 10_000, "-p " * 20_000 + "mysql", "password " * 10_000, "key: '" * 10_000, "a@b:" * 20_000),
        *("\\'" * 30_000 + "password='", "{" * 30_000 + "password={", "1234567:AA" * 5000, "s." * 30_000),
    ):
        assert isinstance(Redactor().text(text, "output", "stdout"), str)
    assert time.process_time() - begun < 20


def test_many_places_are_bounded() -> None:
    redactor = Redactor()
    for number in range(3000):
        redactor.note("output", str(number), "value")
    found: list[Any] = list(redactor.found)
    assert len(found) == 1000
