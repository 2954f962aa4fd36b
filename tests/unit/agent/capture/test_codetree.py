from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from dsenv.agent.capture import codetree, git
from dsenv.agent.store import open_writer
from dsenv.agent.store.base import blob_key


def write(root: Path, *names: str, data: bytes = b"x") -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)


def found(root: Path, *, marked: bool = True, avoid: tuple[str, ...] = ()) -> codetree.Found:
    return codetree.find(str(root), marked=marked, avoid=avoid)


def test_what_is_code_and_what_is_not(tmp_path: Path) -> None:
    write(
        tmp_path,
        "a.py",
        "pkg/b.py",
        "data/small.csv",
        "__pycache__/a.pyc",
        ".venv/lib/x.py",
        ".git/config",
        "env/bin/x",
    )
    write(tmp_path, "env/pyvenv.cfg", "conda/conda-meta/history", "conda/lib.py", "runs/index/x", "node_modules/m.js")
    write(
        tmp_path,
        ".env",
        ".env.production",
        "id_rsa",
        "tls.key",
        "cert.pem",
        "credentials.json",
        ".netrc",
        "secrets.yaml",
    )
    write(tmp_path, ".env.example", "id_rsa.pub", "environment.py", "keyring.py", "secrets.py")
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("a.py")
    (tmp_path / "folder").symlink_to("pkg")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / ".git" / "config").unlink()
    (tmp_path / ".git").rmdir()
    tree = found(tmp_path, avoid=(str(tmp_path / "runs"),))
    assert sorted(tree.files) == [
        ".env.example", "a.py", "data/small.csv", "environment.py", "id_rsa.pub", "keyring.py", "pkg/b.py",
        "secrets.py",
    ]  # fmt: skip
    assert sorted(tree.links) == [("folder", "pkg"), ("link", "a.py")]
    assert tree.folders == ["empty"]
    assert sorted(item["path"] for item in tree.skipped) == [
        ".env", ".env.production", ".netrc", "cert.pem", "credentials.json", "id_rsa", "secrets.yaml", "tls.key",
    ]  # fmt: skip


def test_git_decides_where_there_is_git(tmp_path: Path) -> None:
    write(tmp_path, "tracked.py", "new.py", "ignored.log", "gone.py", "deep/venv/pyvenv.cfg", "deep/venv/lib.py")
    (tmp_path / ".gitignore").write_text("*.log\n")
    for words in (["init", "-q", "-b", "main"], ["add", "tracked.py", "gone.py"], ["commit", "-qm", "x"]):
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True)
    (tmp_path / "gone.py").unlink()
    subprocess.run(
        ["git", "-C", str(tmp_path), "remote", "add", "origin", "https://me:tok3n@git.example.invalid/x.git"],
        check=True,
    )
    assert found(tmp_path).files == [".gitignore", "new.py", "tracked.py"]
    facts = git.facts(str(tmp_path))
    assert facts is not None
    assert (facts["branch"], facts["dirty"], len(facts["commit"])) == ("main", True, 40)
    assert facts["remote"] == "https://me:<redacted>@git.example.invalid/x.git"
    sub = tmp_path / "deep"
    write(sub, "in.py")
    assert found(sub).files == ["in.py"]


def test_a_repository_without_commits_and_a_folder_without_git(tmp_path: Path) -> None:
    assert git.facts(str(tmp_path)) is None and git.files(str(tmp_path)) is None
    subprocess.run(["git", "-C", str(tmp_path), "init", "-q"], check=True)
    facts = git.facts(str(tmp_path))
    assert facts is not None and facts["commit"] is None and facts["dirty"] is False


def test_without_git_a_damaged_repository_is_walked(tmp_path: Path) -> None:
    write(tmp_path, ".git", "a.py")
    assert found(tmp_path).files == [".git", "a.py"]


def test_of_an_unmarked_folder_only_code_is_taken(tmp_path: Path) -> None:
    write(tmp_path, "job.py", "photo.jpg", ".hidden/x.py", "a/b/c/d/e/deep.py", "settings.toml")
    assert sorted(found(tmp_path, marked=False).files) == ["job.py", "settings.toml"]


def test_large_files_are_left_out_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codetree, "FILE_CAP", 10)
    write(tmp_path, "big.bin", data=b"x" * 11)
    write(tmp_path, "small.bin", data=b"x" * 10)
    tree = found(tmp_path)
    assert tree.files == ["small.bin"]
    assert tree.skipped == [{"path": "big.bin", "reason": "too-large"}]


def test_the_archive_that_records_is_no_code_of_the_project(tmp_path: Path) -> None:
    write(tmp_path, "bin/dsenv.pyz", "bin/job.py", "other.pyz")
    tree = found(tmp_path, avoid=(str(tmp_path / "bin/dsenv.pyz"),))
    assert sorted(tree.files) == ["bin/job.py", "other.pyz"]
    assert tree.skipped == [{"path": "bin/dsenv.pyz", "reason": "ignored"}]


def test_a_snapshot_is_the_same_for_the_same_tree(tmp_path: Path) -> None:
    root = tmp_path / "app"
    write(root, "a.py", data=b"a = 1\n" * 2000)
    write(root, "b.bin", data=os.urandom(10_000))
    write(root, "copy.py", data=b"a = 1\n" * 2000)
    write(root, "key.txt", data=b"-----BEGIN PRIVATE KEY-----\nabc")
    writer = open_writer(str(tmp_path / "store"), {})
    first = codetree.snapshot(str(root), writer, marked=True, avoid=(), environ=os.environ)
    second = codetree.snapshot(str(root), writer, marked=True, avoid=(), environ=os.environ)
    assert first == second
    assert (first["files"], first["bytes"]) == (3, 34_000)
    assert first["skipped"] == [{"path": "key.txt", "reason": "secret"}]
    assert first["tree"] is not None
    tree = json.loads((tmp_path / "store" / blob_key(first["tree"])).read_bytes())
    sizes = [(tmp_path / "store" / blob_key(pack)).stat().st_size for pack in tree["packs"]]
    assert len(sizes) == 2 and max(sizes) < 11_000, "random bytes are not compressed, text is, and once"


def test_an_empty_tree(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    writer = open_writer(str(tmp_path / "store"), {})
    code = codetree.snapshot(str(tmp_path / "app"), writer, marked=True, avoid=(), environ=os.environ)
    assert (code["files"], code["bytes"]) == (0, 0)
