"""What doctor finds on machines with something missing."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from dsenv.config import load
from dsenv.errors import ProviderError
from dsenv.events import Cancel, ignore
from dsenv.models.machine import Advice
from dsenv.providers.base import CanAdvise
from dsenv.providers.local.provider import LocalProvider
from dsenv.testing.index import PackageIndex, write_wheel
from dsenv.workflows import lock
from dsenv.workflows.doctor import Diagnosis, Finding, doctor, policy

MINOR = f"{sys.version_info[0]}.{sys.version_info[1]}"


def examine(**options: bool) -> dict[str, Finding]:
    return by_check(doctor(emit=ignore, cancel=Cancel(), **options))


def by_check(diagnosis: Diagnosis) -> dict[str, Finding]:
    """The worst finding of each check."""
    rank = ("ok", "note", "fix")
    found: dict[str, Finding] = {}
    for finding in diagnosis.findings:
        if finding.check not in found or rank.index(finding.status) > rank.index(found[finding.check].status):
            found[finding.check] = finding
    return found


def tools(folder: Path, *names: str) -> str:
    folder.mkdir()
    for name in names:
        found = shutil.which(name)
        if found:
            (folder / name).symlink_to(found)
    return str(folder)


def test_outside_a_project_the_machine_is_looked_at() -> None:
    found = examine()
    assert found["dsenv.toml"].status == "note"
    assert found["uv"].status == "ok"
    assert found["environments"].status == "ok"
    assert "lock" not in found
    assert "index" not in found


def test_a_healthy_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project(tmp_path, "")
    write_wheel(tmp_path / "wheels", "packaging", "1.0")
    with PackageIndex(tmp_path / "wheels") as served:
        monkeypatch.setenv("UV_DEFAULT_INDEX", served.url)
        lock.lock(load.load(), emit=ignore, cancel=Cancel())
        found = examine(online=True)
    assert {name: found[name].status for name in ("dsenv.toml", "lock", "project python", "index")} == {
        "dsenv.toml": "ok",
        "lock": "ok",
        "project python": "ok",
        "index": "ok",
    }


def project(folder: Path, environment: str, rest: str = "") -> None:
    import os

    os.chdir(folder)
    (folder / "requirements.txt").write_text("")
    python = "" if "python" in environment else f'python = "{MINOR}"\n'
    (folder / "dsenv.toml").write_text(f'[project]\nname = "p"\n[environment]\n{python}{environment}{rest}')


def test_what_a_project_lacks_is_found_with_its_fix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    rest = '[workstations.far]\nprovider = "teleport"\n'
    project(tmp_path, 'python = "3.39"\napt = ["no-such-package"]\n', rest)
    found = examine(online=True)
    assert {name for name, finding in found.items() if finding.status == "fix"} >= {
        "project python",
        "lock",
        "index",
        "provider teleport",
    }
    assert found["lock"].fix == "dsenv lock"
    assert "3.39" in found["project python"].fix
    if Path("/var/lib/dpkg/status").exists():
        assert found["apt"].fix == "sudo apt-get install no-such-package"
    (tmp_path / "pylock.toml").write_text("broken")
    assert "is damaged" in examine()["lock"].message


def test_a_broken_configuration_is_a_finding(tmp_path: Path) -> None:
    project(tmp_path, "colour = 1\n")
    finding = examine()["dsenv.toml"]
    assert finding.status == "fix"
    assert "colour" in finding.message


def test_missing_tools_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", tools(tmp_path / "bin", "sh"))
    found = examine()
    assert found["git"].status == "fix"
    assert found["ssh client"].status == "note"
    assert found["namespaces"].status == "note"
    assert not doctor(emit=ignore, cancel=Cancel()).healthy


def test_places_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.write_text("")
    file.chmod(0o400)
    monkeypatch.setenv("DSENV_STORE", "s3://bucket/prefix")
    assert "not asked" in examine()["store"].message
    monkeypatch.setenv("DSENV_STORE", str(tmp_path / "store"))
    assert examine()["store"].status == "ok"


def test_advice_of_an_account_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dsenv.providers.registry.load", lambda name: _Advising())
    told = [finding for finding in doctor(emit=ignore, cancel=Cancel()).findings if finding.check == "provider local"]
    assert [(finding.status, finding.fix) for finding in told] == [("note", ""), ("fix", "ask for more")]
    assert policy("local") == "{}"


def test_a_provider_without_permissions_says_so() -> None:
    with pytest.raises(ProviderError, match="no permissions"):
        policy("local")


class _Advising(LocalProvider, CanAdvise):
    def advice(self) -> list[Advice]:
        return [Advice("note", "no prices"), Advice("fix", "no room", "ask for more")]

    def policy(self) -> str:
        return "{}"
