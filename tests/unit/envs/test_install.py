"""Installing locks for real: staged, verified, shared, and safe when something is wrong."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dsenv.agent import environments
from dsenv.config import paths
from dsenv.config.load import Loaded
from dsenv.envs import install, lockfile
from dsenv.envs.executable import index_arguments, uv_executable
from dsenv.errors import InstallError
from dsenv.events import Cancel, Cancelled, Event, Progress, StepFinished, ignore
from dsenv.testing.index import PackageIndex, write_wheel
from dsenv.workflows import lock as workflow

MakeProject = Callable[..., Loaded]
MINOR = f"{sys.version_info[0]}.{sys.version_info[1]}"


@pytest.fixture
def lock(index: PackageIndex, make_project: MakeProject) -> lockfile.Lock:
    """A lock of beta and alpha for the Python that runs the tests."""
    return make_lock(make_project("beta\n"))


def make_lock(project: Loaded) -> lockfile.Lock:
    file = project.root / "dsenv.toml"
    file.write_text(file.read_text().replace('"3.11"', f'"{MINOR}"'))
    from dsenv.config import load

    workflow.lock(load.load(project.root), emit=ignore, cancel=Cancel())
    return lockfile.read(project.lock_file)


def here(lock: lockfile.Lock, emit: Callable[[Event], None] = ignore) -> install.Environment:
    return install.here(lock, emit=emit, cancel=Cancel())


def envs() -> Path:
    return Path(os.environ["DSENV_ENVS_DIR"])


def site(environment: install.Environment) -> Path:
    return Path(environment.prefix) / "lib" / f"python{MINOR}" / "site-packages"


def test_an_environment_is_made_once_and_then_found(lock: lockfile.Lock) -> None:
    events: list[Event] = []
    made = here(lock, events.append)
    assert made.rung == "index"
    assert made.id == lock.id
    assert Path(made.prefix).parent == envs()
    finished = [event for event in events if isinstance(event, StepFinished)]
    assert "from: index" in finished[-1].note
    begun = time.process_time()
    again = here(lock)
    work = time.process_time() - begun
    assert again.rung == "present"
    assert again.content == made.content
    assert work < 0.3
    ran = subprocess.run([f"{made.prefix}/bin/beta"], check=True, capture_output=True, text=True)
    assert ran.stdout == "beta runs\n"


def test_the_cache_serves_when_the_environment_is_gone(lock: lockfile.Lock, index: PackageIndex) -> None:
    first = here(lock)
    shutil.rmtree(first.prefix)
    index.requests.clear()
    second = here(lock)
    assert second.rung == "cache"
    assert second.content == first.content
    assert index.requests == []


def test_the_same_lock_has_the_same_content_at_another_path(
    lock: lockfile.Lock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = here(lock)
    monkeypatch.setenv("DSENV_ENVS_DIR", str(tmp_path / "a" / "quite" / "different" / "place"))
    second = here(lock)
    assert second.prefix != first.prefix
    assert second.content == first.content
    scripts = [(Path(env.prefix) / "bin" / "beta").read_bytes() for env in (first, second)]
    assert scripts[0] == scripts[1]


def test_an_edit_in_an_environment_does_not_reach_the_cache(lock: lockfile.Lock) -> None:
    first = here(lock)
    (site(first) / "alpha.py").write_text("edited = True\n")
    shutil.rmtree(first.prefix)
    assert "version" in (site(here(lock)) / "alpha.py").read_text()


def test_a_poisoned_cache_is_caught(lock: lockfile.Lock) -> None:
    shutil.rmtree(here(lock).prefix)
    (cached,) = Path(os.environ["UV_CACHE_DIR"]).rglob("archive-v0/*/alpha.py")
    cached.write_text("version = '2.0'\nprint('gotcha')\n")
    with pytest.raises(InstallError, match="not what their packages say") as caught:
        here(lock)
    assert "alpha.py" in (caught.value.detail or "")
    assert sorted(path.suffix for path in envs().iterdir()) == [".lock"]


def test_a_file_that_was_slipped_into_the_cache_is_caught(lock: lockfile.Lock) -> None:
    shutil.rmtree(here(lock).prefix)
    (cached,) = Path(os.environ["UV_CACHE_DIR"]).rglob("archive-v0/*/alpha.py")
    (cached.parent / "evil.pth").write_text("import os\n")
    with pytest.raises(InstallError, match="not what their packages say") as caught:
        here(lock)
    assert "evil.pth" in (caught.value.detail or "")


def test_a_package_that_changed_on_the_index_is_refused(
    lock: lockfile.Lock, index: PackageIndex, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write_wheel(index.folder, "alpha", "2.0", {"alpha.py": "version = 'stolen'\n"})
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "empty-cache"))
    with pytest.raises(InstallError, match="not the one in the lock") as caught:
        here(lock)
    assert caught.value.hint
    assert not list(envs().glob("*.tmp"))


def test_what_the_index_lost_is_said(lock: lockfile.Lock, index: PackageIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    (index.folder / "alpha-2.0-py3-none-any.whl").unlink()
    monkeypatch.setenv("UV_CACHE_DIR", os.environ["UV_CACHE_DIR"] + "-empty")
    with pytest.raises(InstallError, match="could not be installed") as caught:
        here(lock)
    assert "alpha" in (caught.value.detail or "")


def test_an_index_out_of_reach_is_said(lock: lockfile.Lock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_CACHE_DIR", os.environ["UV_CACHE_DIR"] + "-empty")
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with pytest.raises(InstallError, match="index cannot be reached"):
        here(lock)


def test_of_two_installers_one_waits_for_the_other(lock: lockfile.Lock) -> None:
    results: list[install.Environment] = []
    events: list[Event] = []

    def work() -> None:
        results.append(here(lock, events.append))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(result.rung for result in results) == ["index", "present", "present"]
    assert any(isinstance(event, Progress) and "waiting" in event.unit for event in events)


def test_what_a_killed_installer_left_is_not_used(lock: lockfile.Lock) -> None:
    prefix = envs() / environments.folder_name(lock.id)
    for leftover in (prefix, prefix.with_name(prefix.name + ".tmp")):
        (leftover / "bin").mkdir(parents=True)
        (leftover / "bin" / "python").symlink_to(sys.executable)
    assert environments.present(lock.id, os.environ) is None
    made = here(lock)
    assert made.rung == "index"
    assert (site(made) / "alpha.py").exists()
    assert sorted(path.name for path in envs().iterdir()) == [prefix.name, prefix.name + ".lock"]


def test_a_killed_installer_leaves_nothing_that_counts(lock: lockfile.Lock, tmp_path: Path) -> None:
    """SIGKILL at any moment: the next one starts again."""
    request = tmp_path / "request.json"
    request.write_text(json.dumps(install.request(lock, uv=uv_executable(), wheels="")))
    for delay in (0.05, 0.15, 0.3):
        child = subprocess.Popen(
            [sys.executable, "-m", "dsenv.agent", "install", str(request)], stdout=subprocess.DEVNULL
        )
        time.sleep(delay)
        child.kill()
        child.wait()
        found = environments.present(lock.id, os.environ)
        assert found is None or (Path(found["prefix"]) / "bin" / "beta").exists()
    assert (site(here(lock)) / "beta" / "__init__.py").exists()


def test_an_environment_that_others_could_write_is_not_used(lock: lockfile.Lock) -> None:
    made = here(lock)
    Path(made.prefix).chmod(0o777)
    assert environments.present(lock.id, os.environ) is None
    Path(made.prefix).chmod(0o755)
    assert environments.present(lock.id, os.environ) is not None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_an_environment_of_another_user_is_not_used(lock: lockfile.Lock) -> None:
    made = here(lock)
    os.chown(made.prefix, 12345, 12345)
    assert environments.present(lock.id, os.environ) is None


def test_an_environment_whose_python_went_away_is_made_again(lock: lockfile.Lock) -> None:
    made = here(lock)
    python = Path(made.prefix) / "bin" / "python"
    python.unlink()
    python.symlink_to("/nowhere/python")
    again = here(lock)
    assert again.rung == "cache"
    assert subprocess.run([again.python, "-c", "import alpha"], check=False).returncode == 0


def test_a_damaged_manifest_is_no_environment(lock: lockfile.Lock) -> None:
    made = here(lock)
    (Path(made.prefix) / environments.MANIFEST).write_text("{")
    assert here(lock).rung == "cache"


def test_a_missing_python_is_named(lock: lockfile.Lock) -> None:
    import dataclasses

    with pytest.raises(InstallError, match=r"Python 3\.39 is not on this machine") as caught:
        here(dataclasses.replace(lock, python="3.39"))
    assert "python3.39" in (caught.value.hint or "")


def test_no_place_to_write_is_said(lock: lockfile.Lock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("")
    monkeypatch.setenv("DSENV_ENVS_DIR", str(blocker / "envs"))
    with pytest.raises(InstallError, match="no place for environments") as caught:
        here(lock)
    assert "DSENV_ENVS_DIR" in (caught.value.hint or "")


def test_a_request_to_stop_leaves_nothing(lock: lockfile.Lock) -> None:
    cancel = Cancel()
    cancel.set()
    with pytest.raises(Cancelled):
        install.here(lock, emit=ignore, cancel=cancel)
    assert environments.present(lock.id, os.environ) is None
    assert not list(envs().glob("*.tmp"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_a_full_disk_is_said_and_leaves_nothing(
    index: PackageIndex, make_project: MakeProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_wheel(index.folder, "large", "1.0", {"large.py": "x = '" + "y" * (4 << 20) + "'\n"})
    lock = make_lock(make_project("large\n"))
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=755", "tmpfs", str(small)], check=False)
    if mounted.returncode:
        pytest.skip("no file systems can be mounted here")
    try:
        monkeypatch.setenv("DSENV_ENVS_DIR", str(small / "envs"))
        with pytest.raises(InstallError, match="disk is full"):
            here(lock)
        assert sorted(path.suffix for path in (small / "envs").iterdir()) == [".lock"]
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_old_environments_are_collected_by_last_use(tmp_path: Path) -> None:
    now = time.time()
    for number in range(6):
        prefix = tmp_path / f"env{number}"
        prefix.mkdir()
        manifest = prefix / environments.MANIFEST
        manifest.write_text(json.dumps({"format": 1, "id": str(number)}))
        os.utime(manifest, (now - number * 100_000,) * 2)
    spare = str(tmp_path / "env5")
    removed = environments.collect(str(tmp_path), keep=2, spare=spare)
    assert sorted(Path(path).name for path in removed) == ["env2", "env3", "env4"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["env0", "env1", "env5"]


def test_environments_used_today_are_never_collected(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"env{number}").mkdir()
        (tmp_path / f"env{number}" / environments.MANIFEST).write_text("{}")
    assert environments.collect(str(tmp_path), keep=1, spare="") == []


def test_local_wheels_are_installed_and_a_changed_one_is_refused(
    index: PackageIndex, make_project: MakeProject, tmp_path: Path
) -> None:
    write_wheel(tmp_path / "links", "gamma", "4.0")
    lock = make_lock(make_project("--find-links ../links\ngamma\n"))
    made = here(lock)
    assert (site(made) / "gamma.py").exists()
    shutil.rmtree(made.prefix)
    (wheel,) = lock.local_wheels
    assert lock.folder
    (lock.folder / wheel.path).write_bytes(b"something else")
    with pytest.raises(InstallError, match="its digest differs"):
        here(lock)


def test_a_lock_from_a_record_finds_its_wheels_in_the_data_folder(
    index: PackageIndex, make_project: MakeProject, tmp_path: Path
) -> None:
    write_wheel(tmp_path / "links", "gamma", "4.0")
    lock = make_lock(make_project("--find-links ../links\ngamma\n"))
    recorded = lockfile.parse(lock.data, "run 42")
    assert (site(here(recorded)) / "gamma.py").exists()
    shutil.rmtree(paths.data_dir() / "wheels")
    shutil.rmtree(envs())
    with pytest.raises(InstallError, match=r"gamma-4\.0.*is not on this machine"):
        here(recorded)


def test_uv_and_pip_can_install_from_our_lock_without_us(lock: lockfile.Lock, tmp_path: Path) -> None:
    uv = uv_executable()
    venv = tmp_path / "venv"
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(venv)], check=True)
    assert lock.folder
    command = [uv, "pip", "sync", "-q", "--python", str(venv / "bin" / "python"), "--preview-features", "pylock"]
    subprocess.run([*command, str(lock.folder / "pylock.toml")], check=True)
    ran = subprocess.run([str(venv / "bin" / "beta")], capture_output=True, check=True)
    assert ran.stdout == b"beta runs\n"


def test_options_for_indexes() -> None:
    assert index_arguments([]) == []
    assert index_arguments(["a", "b"]) == ["--index-url", "a", "--extra-index-url", "b"]
    assert index_arguments(["", "b"]) == ["--extra-index-url", "b"]


def test_the_verb_speaks_json(lock: lockfile.Lock) -> None:
    request = json.dumps(install.request(lock, uv=uv_executable(), wheels=""))
    command = [sys.executable, "-m", "dsenv.agent", "install", "-"]
    done = subprocess.run(command, input=request, capture_output=True, text=True, check=True)
    messages = [json.loads(line) for line in done.stdout.splitlines()]
    assert messages[-1]["environment"]["rung"] == "index"
    assert {message.get("step") for message in messages[:-1]} == {"packages", "verify"}
    for wrong in ("{", "{}"):
        done = subprocess.run(command, input=wrong, capture_output=True, text=True, check=False)
        assert done.returncode == 3
        assert "cannot read the request" in json.loads(done.stdout)["error"]["message"]
    assert subprocess.run(command[:-1], capture_output=True, check=False).returncode == 2


@pytest.mark.network
@pytest.mark.slow
def test_real_packages_from_the_real_index(make_project: MakeProject) -> None:
    lock = make_lock(make_project("numpy\nidna\n", platforms='["linux-64", "linux-aarch64", "osx-arm64", "win-64"]'))
    made = here(lock)
    code = "import numpy, idna; print(int(numpy.arange(4).sum()))"
    assert subprocess.run([made.python, "-c", code], capture_output=True, check=True).stdout == b"6\n"
    assert lock.facts["libc"].startswith("glibc 2.")
