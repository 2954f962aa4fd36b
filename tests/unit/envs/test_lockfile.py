"""Reading locks: what is damaged, foreign, hand-edited or hostile is refused with a next step."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsenv.envs import lockfile
from dsenv.envs.lock import pylock
from dsenv.errors import LockError

SHA = "a" * 64
FACTS = pylock.Facts("3.11", ("linux-64",), (), ("alpha",), "requirements.txt", "0" * 64, (), (), "0.1.0")


def document(name: str = "alpha", version: str = "1.0", **wheel: object) -> dict[str, object]:
    word = name.replace("-", "_")
    item = {"url": f"https://example.invalid/{word}-{version}-py3-none-any.whl", "hashes": {"sha256": SHA}} | wheel
    return {"packages": [{"name": name, "version": version, "wheels": [item]}]}


def lock_bytes(answer: dict[str, object] | None = None, facts: pylock.Facts = FACTS) -> bytes:
    return pylock.dump(pylock.assemble(answer or document(), facts, local={}, hashes={}))


def test_a_lock_survives_writing_and_reading() -> None:
    lock = lockfile.parse(lock_bytes(), "lock")
    assert (lock.python, lock.platforms, lock.packages) == ("3.11", ("linux-64",), {"alpha": "1.0"})
    assert lock.requirements() == f"alpha==1.0 --hash=sha256:{SHA}\n"
    assert lock.facts["id"] == lock.id


def test_a_missing_and_an_unreadable_lock(tmp_path: Path) -> None:
    with pytest.raises(LockError, match=r"no pylock\.toml") as caught:
        lockfile.read(tmp_path / "pylock.toml")
    assert caught.value.hint == "run `dsenv lock`"
    with pytest.raises(LockError, match="cannot read"):
        lockfile.read(tmp_path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\xff\xfe", "is damaged"),
        (b"lock-version = ", "is damaged"),
        (b'lock-version = "1.0"\n', "is not a valid lock"),
        (b'lock-version = "9.0"\ncreated-by = "x"\npackages = []\n', "newer format"),
        (lock_bytes()[:-200], "is damaged|changed after it was made"),
        (lock_bytes().replace(SHA.encode(), b"b" * 64), "changed after it was made"),
        (
            lock_bytes().replace(b'version = "1.0"\nwheels', b'version = "1.1"\nwheels'),
            "changed after it was made|valid",
        ),
        (lock_bytes().replace(SHA.encode(), b"a" * 63 + b" "), "has no SHA-256"),
        (lock_bytes().replace(b'python = "3.11"', b'python = "3.11/../../evil"'), "which Python it is for"),
        (lock_bytes().replace(b'python = "3.11"', b"python = 3.11"), "is damaged"),
        (lock_bytes().replace(b"indexes = []", b"indexes = [1]"), "is damaged"),
        (lock_bytes().replace(b"apt = []", b'apt = "x"'), "is damaged"),
        (lock_bytes().replace(b'sha256 = "' + SHA.encode(), b'sha512 = "' + SHA.encode()), "has no SHA-256|valid"),
    ],
)
def test_a_lock_that_cannot_be_trusted_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(LockError, match=message) as caught:
        lockfile.parse(data, "pylock.toml")
    assert caught.value.hint


@pytest.mark.parametrize(
    "path", ["../../etc/x-1-py3-none-any.whl", "/etc/x-1-py3-none-any.whl", "a\\\\x-1-py3-none-any.whl"]
)
def test_paths_in_a_lock_never_leave_its_folder(path: str) -> None:
    data = (
        'lock-version = "1.0"\ncreated-by = "x"\nrequires-python = ">=3.11"\n[[packages]]\nname = "x"\nversion = "1"\n'
        f'wheels = [{{name = "x-1-py3-none-any.whl", path = "{path}", hashes = {{sha256 = "{SHA}"}}}}]\n'
    )
    with pytest.raises(LockError, match="leads out of"):
        lockfile.parse(data.encode(), "pylock.toml")


def test_a_lock_of_another_tool_can_be_used() -> None:
    data = (
        'lock-version = "1.0"\ncreated-by = "pip"\nrequires-python = ">=3.12"\n'
        '[[packages]]\nname = "x"\nversion = "1"\n'
        f'wheels = [{{url = "https://example.invalid/x-1-py3-none-any.whl", hashes = {{sha256 = "{SHA}"}}}}]\n'
    )
    lock = lockfile.parse(data.encode(), "pylock.toml")
    assert (lock.python, lock.platforms, lock.facts) == ("3.12", (), {})


def test_a_package_that_only_has_a_source_distribution_is_refused() -> None:
    data = (
        'lock-version = "1.0"\ncreated-by = "pip"\nrequires-python = ">=3.12"\n'
        '[[packages]]\nname = "x"\nversion = "1"\n'
        f'sdist = {{url = "https://example.invalid/x-1.tar.gz", hashes = {{sha256 = "{SHA}"}}}}\n'
    )
    with pytest.raises(LockError, match="no wheel that can be checked"):
        lockfile.parse(data.encode(), "pylock.toml")


def test_the_id_depends_on_what_is_installed_and_on_nothing_else() -> None:
    import dataclasses

    base = lockfile.parse(lock_bytes(), "a").id
    same = dataclasses.replace(FACTS, source="other.txt", source_digest="1" * 64, roots=(), dsenv="9", indexes=("x",))
    assert lockfile.parse(lock_bytes(facts=same), "b").id == base
    others = [
        lock_bytes(document(version="1.1")),
        lock_bytes(document(hashes={"sha256": "c" * 64})),
        lock_bytes(facts=dataclasses.replace(FACTS, python="3.12")),
        lock_bytes(facts=dataclasses.replace(FACTS, apt=("libgomp1",))),
    ]
    assert len({base, *(lockfile.parse(data, "c").id for data in others)}) == 5


names = st.from_regex(r"[a-z0-9]{1,5}(-[a-z0-9]{1,5})?", fullmatch=True)
versions = st.from_regex(r"[0-9]{1,2}(\.[0-9]{1,2}){0,2}", fullmatch=True)
digests = st.binary(max_size=4).map(lambda data: hashlib.sha256(data).hexdigest())


@given(st.dictionaries(names, st.tuples(versions, digests), max_size=6), st.randoms())
def test_locks_are_canonical(packages: dict[str, tuple[str, str]], random: object) -> None:
    """The order in which a solver answers changes neither the bytes nor the id; reading gives back what went in."""
    answer = [
        document(name, version, hashes={"sha256": digest})["packages"][0]  # type: ignore[index]
        for name, (version, digest) in packages.items()
    ]
    first = lock_bytes({"packages": answer})
    random.shuffle(answer)  # type: ignore[attr-defined]
    assert lock_bytes({"packages": answer}) == first
    lock = lockfile.parse(first, "lock")
    assert lock.packages == {name: version for name, (version, _) in packages.items()}
    assert lock.requirements().count("--hash=sha256:") == len(packages)


texts = st.text(st.characters(blacklist_categories=["Cs"]), max_size=20)


@given(st.recursive(texts | st.integers() | st.booleans(), lambda inner: st.lists(inner, max_size=3), max_leaves=8))
def test_what_the_toml_writer_writes_reads_back(value: object) -> None:
    from dsenv.envs import toml

    assert tomllib.loads(f"key = {toml.value(value)}")["key"] == value
    assert tomllib.loads(f"key = {toml.value({'a': value, 'b': True})}")["key"] == {"a": value, "b": True}
