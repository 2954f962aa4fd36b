"""Fingerprints: what is asked of a machine, and that nothing is guessed or leaked."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from dsenv import resources
from dsenv.agent import fingerprint, interpreters, numeric


def test_a_fingerprint_of_this_machine() -> None:
    environ = {"OMP_NUM_THREADS": "2", "SECRET_TOKEN": "s3cret", "LANG": "C", "TZ": "UTC"}
    facts = fingerprint.collect(environ, sys.path)
    assert facts["python"]["version"] == sys.version.split()[0]
    assert facts["threads"] == {"OMP_NUM_THREADS": "2"}
    assert facts["env"] == ["LANG", "OMP_NUM_THREADS", "SECRET_TOKEN", "TZ"]
    assert "s3cret" not in json.dumps(facts)
    assert facts["locale"]["LANG"] == "C"
    assert facts["cpu"]["usable"] <= facts["cpu"]["count"]
    assert facts["limits"]["memory"] > 1 << 20
    assert len(facts["limits"]["ulimit"]["nofile"]) == 2
    assert facts["process"]["umask"].startswith("0")
    assert any(item["name"] == "pytest" for item in facts["distributions"])
    assert "distributions" not in fingerprint.collect(environ)


def test_the_running_python_is_described_as_by_the_platform_module() -> None:
    facts, system = fingerprint.python_facts(), fingerprint.os_facts()
    assert (facts["version"], facts["compiler"]) == (platform.python_version(), platform.python_compiler())
    assert facts["build"] == " ".join(platform.python_build())
    assert [system[name] for name in ("system", "machine", "kernel")] == [
        platform.system(),
        platform.machine(),
        platform.release(),
    ]


@pytest.mark.parametrize(("asked", "said"), [("xx_YY.UTF-8", "['xx_YY.UTF-8'] True"), ("C.UTF-8", "None False")])
def test_only_a_locale_that_is_not_ours_is_asked_for(asked: str, said: str) -> None:
    code = f"""
import sys
sys.path.insert(0, {str(Path(fingerprint.__file__).parents[2])!r})
from dsenv.agent import fingerprint
print(fingerprint.locale_facts(dict(LANG={asked!r}, LC_ALL="C", TZ="UTC")).get("missing"), "ctypes" in sys.modules)
"""
    environ = {"LANG": "C.UTF-8", "PATH": os.environ["PATH"]}
    words = [sys.executable, "-I", "-S", "-c", code]
    assert subprocess.run(words, check=True, capture_output=True, text=True, env=environ).stdout.strip() == said


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def test_the_tightest_control_group_counts(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "memory.max": "max\n",
            "a/memory.max": "1000000\n",
            "a/cpu.max": "150000 100000\n",
            "a/b/memory.max": "2000000\n",
            "a/b/cpu.max": "max 100000\n",
            "self": "0::/a/b\n",
        },
    )
    facts = fingerprint.cgroup_facts(str(tmp_path), str(tmp_path / "self"))
    assert facts == {"memory_limit": 1000000, "cpu_limit": 1.5}


def test_control_groups_of_the_first_kind(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "memory/job/memory.limit_in_bytes": "4096\n",
            "cpu,cpuacct/job/cpu.cfs_quota_us": "50000\n",
            "cpu,cpuacct/job/cpu.cfs_period_us": "100000\n",
            "self": "5:memory:/job\n4:cpu,cpuacct:/job\n1:name=systemd:/../../etc\n",
        },
    )
    facts = fingerprint.cgroup_facts(str(tmp_path), str(tmp_path / "self"))
    assert facts == {"memory_limit": 4096, "cpu_limit": 0.5}
    assert fingerprint.cgroup_facts("/nowhere", "/nowhere") == {}


def test_installed_debian_packages(tmp_path: Path) -> None:
    status = tmp_path / "status"
    status.write_text(
        "Package: here\nStatus: install ok installed\nVersion: 1.2-3\nDescription: x\n Package: decoy\n\n"
        "Package: gone\nStatus: deinstall ok config-files\nVersion: 9\n"
    )
    assert fingerprint.installed_packages(str(status)) == {"here": "1.2-3"}
    assert fingerprint.installed_packages("/nowhere") == {}


PYTHONS = [
    found
    for found in (interpreters.find(minor, os.environ) for minor in ("3.9", "3.10", "3.11", "3.12", "3.13"))
    if found is not None
]


@pytest.mark.parametrize(("python", "version"), PYTHONS)
def test_the_archive_describes_every_python(python: str, version: str, tmp_path: Path) -> None:
    archive = tmp_path / "agent.pyz"
    archive.write_bytes(resources.agent_archive())
    command = [python, "-I", "-S", str(archive), "fingerprint", "numeric", "content", "apt:no-such-package"]
    facts = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    assert facts["python"]["version"] == version
    assert not any(str(archive) in item.get("url", "") for item in facts["distributions"])
    if Path(fingerprint.DPKG_STATUS).exists():
        assert facts["apt"] == {"no-such-package": None}


def test_an_environment_that_is_not_here_is_described_by_the_asking_python(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "dsenv.agent", "fingerprint", f"environment:{'0' * 64}", f"envs:{tmp_path}"]
    facts = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    assert facts["python"]["version"] == sys.version.split()[0]
    assert "lock_id" not in facts


def test_numeric_facts_without_numpy() -> None:
    code = "import sys; sys.modules['numpy'] = None\nfrom dsenv.agent import numeric; print(numeric.collect())"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "{}\n"


def test_a_numpy_that_cannot_be_imported_is_a_fact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "numpy.py").write_text("raise OSError('libgfortran is missing')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "numpy", raising=False)
    assert numeric.collect() == {"numpy": "cannot be imported: libgfortran is missing"}
