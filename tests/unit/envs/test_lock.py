"""Locking against an index on loopback: what is in a lock, when it is stale, what stops it."""

from __future__ import annotations

import dataclasses
import http.server
import ssl
import subprocess
import threading
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from dsenv.config.load import Loaded
from dsenv.envs import lockfile
from dsenv.envs.lock import pylock
from dsenv.errors import LockError
from dsenv.events import Cancel, Cancelled, ignore
from dsenv.testing.index import PackageIndex, write_wheel
from dsenv.workflows import lock as workflow
from tests.tls import self_signed

MakeProject = Callable[..., Loaded]


def locked(project: Loaded, **options: object) -> workflow.Result:
    return workflow.lock(project, emit=ignore, cancel=Cancel(), **options)  # type: ignore[arg-type]


def test_a_lock_is_a_valid_pylock_with_hashes_for_everything(index: PackageIndex, make_project: MakeProject) -> None:
    project = make_project("beta\n", platforms='["linux-64", "osx-arm64"]', extra='apt = ["libgomp1"]\n')
    result = locked(project)
    lock = lockfile.read(project.lock_file)
    assert lock.packages == {"alpha": "2.0", "beta": "1.5"}
    assert all(len(wheel.hashes["sha256"]) == 64 for package in lock.pylock.packages for wheel in package.wheels or [])
    assert lock.facts["apt"] == ["libgomp1"]
    assert lock.facts["roots"] == ["beta"]
    assert lock.platforms == ("linux-64", "osx-arm64")
    assert (result.id, result.packages, result.written) == (lock.id, 2, True)
    assert str(lock.pylock.requires_python) == "==3.11.*"


def test_locking_again_changes_nothing_though_the_index_has_more(
    index: PackageIndex, make_project: MakeProject
) -> None:
    project = make_project("beta\nalpha<3\n")
    locked(project)
    before = project.lock_file.read_bytes()
    write_wheel(index.folder, "alpha", "2.5")
    again = locked(project)
    assert (again.written, again.changes) == (False, ())
    assert project.lock_file.read_bytes() == before
    upgraded = locked(project, upgrade=("alpha",))
    assert [(c.name, c.before, c.after) for c in upgraded.changes] == [("alpha", "2.0", "2.5")]


def test_a_dry_run_writes_nothing(index: PackageIndex, make_project: MakeProject) -> None:
    project = make_project("alpha\n")
    result = locked(project, dry_run=True)
    assert [change.name for change in result.changes] == ["alpha"]
    assert not result.written
    assert not project.lock_file.exists()


def test_an_empty_specification_is_a_lock_without_packages(index: PackageIndex, make_project: MakeProject) -> None:
    project = make_project("# nothing yet\n")
    assert locked(project).packages == 0
    assert workflow.check(project).fresh


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda root: (root / "requirements.txt").write_text("beta\nalpha\n"), "requirements.txt changed"),
        (lambda root: edit(root / "dsenv.toml", '"3.11"', '"3.12"'), "`python`"),
        (lambda root: edit(root / "dsenv.toml", '"linux-64"', '"linux-64", "win-64"'), "`platforms`"),
        (lambda root: edit(root / "dsenv.toml", "[environment]", '[environment]\napt = ["git"]'), "`apt`"),
        (lambda root: (root / "pylock.toml").unlink(), "no pylock.toml"),
    ],
)
def test_a_lock_is_stale_when_what_it_was_made_from_changed(
    index: PackageIndex, make_project: MakeProject, change: Callable[[Path], object], reason: str
) -> None:
    from dsenv.config import load

    project = make_project("beta\n")
    locked(project)
    assert workflow.check(project).fresh
    change(project.root)
    answer = workflow.check(load.load(project.root))
    assert not answer.fresh
    assert reason in "; ".join(answer.reasons)


def edit(file: Path, old: str, new: str) -> None:
    file.write_text(file.read_text().replace(old, new))


def test_comments_and_order_do_not_make_a_lock_stale(index: PackageIndex, make_project: MakeProject) -> None:
    project = make_project("beta\nalpha\n")
    locked(project)
    (project.root / "requirements.txt").write_text("# why\nalpha\n\nbeta   # because\n")
    assert workflow.check(project).fresh


def test_a_package_without_a_build_for_a_platform_is_named(index: PackageIndex, make_project: MakeProject) -> None:
    write_wheel(index.folder, "native", "1.0", tag="cp311-cp311-manylinux_2_28_x86_64")
    project = make_project("native\n", platforms='["linux-64", "osx-arm64"]')
    with pytest.raises(LockError, match=r"native 1.0 has no build for osx-arm64") as caught:
        locked(project)
    assert "take osx-arm64 out" in (caught.value.hint or "")
    assert not project.lock_file.exists()


def test_packages_without_a_usable_wheel_are_named(index: PackageIndex, make_project: MakeProject) -> None:
    write_wheel(index.folder, "old", "1.0", tag="cp38-cp38-manylinux_2_17_x86_64")
    write_wheel(index.folder, "native", "1.0", tag="cp311-cp311-manylinux_2_28_x86_64")
    write_wheel(index.folder, "native", "2.0", tag="cp311-cp311-manylinux_2_28_x86_64")
    with pytest.raises(LockError, match=r"old.* has no wheel that can be used") as caught:
        locked(make_project("old\n"))
    assert "so that dsenv builds it once" in (caught.value.hint or "")
    with pytest.raises(LockError, match=r"native.* has no build for osx-arm64"):
        locked(make_project("native>1\n", platforms='["linux-64", "osx-arm64"]'))


def test_a_marker_keeps_a_package_to_the_platforms_that_have_it(index: PackageIndex, make_project: MakeProject) -> None:
    write_wheel(index.folder, "native", "1.0", tag="cp311-cp311-manylinux_2_28_x86_64")
    project = make_project("native; sys_platform == 'linux'\nalpha\n", platforms='["linux-64", "osx-arm64"]')
    locked(project)
    lock = lockfile.read(project.lock_file)
    assert lock.facts["libc"] == "glibc 2.28"
    lines = dict(line.split("==")[0:2] for line in lock.requirements().splitlines())
    assert 'sys_platform == "linux"' in lock.requirements().splitlines()[1]
    assert lines["alpha"].startswith("2.0 --hash=sha256:")


def test_wheels_for_other_machines_are_left_out(index: PackageIndex, make_project: MakeProject) -> None:
    for tag in ("cp311-cp311-manylinux_2_17_x86_64", "cp311-cp311-win_amd64", "cp312-cp312-manylinux_2_17_x86_64"):
        write_wheel(index.folder, "native", "1.0", tag=tag)
    project = make_project("native\n")
    locked(project)
    text = project.lock_file.read_text()
    assert "cp311-manylinux_2_17_x86_64" in text
    assert "win_amd64" not in text
    assert "cp312" not in text


def test_what_cannot_be_resolved_is_said_with_the_solvers_words(index: PackageIndex, make_project: MakeProject) -> None:
    project = make_project("beta\nalpha<1\n")
    with pytest.raises(LockError, match="cannot be resolved") as caught:
        locked(project)
    assert "alpha<1" in (caught.value.detail or "")


def test_a_pinned_version_whose_wheels_fit_nowhere_says_what_it_has() -> None:
    wheel = {"url": "https://example.invalid/native-1.0-cp311-cp311-win_amd64.whl", "hashes": {"sha256": "0" * 64}}
    answer = {"packages": [{"name": "native", "version": "1.0", "wheels": [wheel]}]}
    facts = pylock.Facts("3.11", ("linux-64", "win-64"), (), (), "", "", (), (), "0")
    with pytest.raises(LockError, match=r"native 1\.0 has no build for linux-64; it has builds for: win_amd64"):
        pylock.assemble(answer, facts, local={}, hashes={})


def test_hashes_of_the_source_are_insisted_on(index: PackageIndex, make_project: MakeProject) -> None:
    project = make_project(f"alpha==1.0 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(LockError, match=r"alpha 1\.0 has no build"):
        locked(project)


def test_local_packages_become_hashed_wheels_without_a_path(index: PackageIndex, make_project: MakeProject) -> None:
    project = make_project("./libs/local\nalpha\n")
    source = project.root / "libs" / "local"
    write_source(source)
    locked(project)
    lock = lockfile.read(project.lock_file)
    (wheel,) = lock.local_wheels
    assert wheel.filename == "localpkg-0.3-py3-none-any.whl"
    assert wheel.path.startswith(".dsenv/wheels/")
    assert str(project.root) not in project.lock_file.read_text()
    assert lock.wheel_file(wheel).read_bytes()[:2] == b"PK"
    assert "localpkg @ file://${DSENV_WHEELS}/" in lock.requirements()
    assert lock.facts["built"][0]["from"] == "libs/local"
    (source / "localpkg.py").write_text("changed = True\n")
    assert "requirements.txt changed" in workflow.check(project).reasons


def write_source(folder: Path) -> None:
    """A package that builds offline, by a build backend of its own."""
    folder.mkdir(parents=True)
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "localpkg"\nversion = "0.3"\n'
    )
    (folder / "localpkg.py").write_text("value = 42\n")
    (folder / "backend.py").write_text(
        "import zipfile, hashlib, base64\n"
        "def build_wheel(out, config_settings=None, metadata_directory=None):\n"
        "    name = 'localpkg-0.3-py3-none-any.whl'\n"
        "    info = 'localpkg-0.3.dist-info'\n"
        "    files = {'localpkg.py': open('localpkg.py').read(),\n"
        "             info + '/METADATA': 'Metadata-Version: 2.1\\nName: localpkg\\nVersion: 0.3\\n',\n"
        "             info + '/WHEEL': 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n'}\n"
        "    digest = lambda t: base64.urlsafe_b64encode(hashlib.sha256(t.encode()).digest()).rstrip(b'=').decode()\n"
        "    rows = [p + ',sha256=' + digest(t) + ',' + str(len(t)) for p, t in files.items()]\n"
        "    files[info + '/RECORD'] = '\\n'.join(rows + [info + '/RECORD,,', ''])\n"
        "    with zipfile.ZipFile(out + '/' + name, 'w') as z:\n"
        "        for p, t in files.items():\n"
        "            z.writestr(zipfile.ZipInfo(p), t)\n"
        "    return name\n"
    )


def test_packages_from_git_are_pinned_to_a_commit(
    index: PackageIndex, make_project: MakeProject, tmp_path: Path
) -> None:
    repository = tmp_path / "repo"
    write_source(repository)
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"], ["tag", "v1"]):
        subprocess.run(["git", "-C", str(repository), *command], check=True, capture_output=True)
    commit = subprocess.run(
        ["git", "-C", str(repository), "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()
    project = make_project(f"localpkg @ git+file://{repository}@v1\n")
    locked(project)
    built = tomllib.loads(project.lock_file.read_text())["tool"]["dsenv"]["built"]
    assert [item["commit"] for item in built] == [commit]
    with pytest.raises(LockError, match="no revision v9"):
        locked(make_project(f"localpkg @ git+file://{repository}@v9\n"))


def test_a_build_that_fails_shows_its_log(index: PackageIndex, make_project: MakeProject) -> None:
    project = make_project("./broken\n")
    write_source(project.root / "broken")
    (project.root / "broken" / "backend.py").write_text("raise SystemExit('no compiler here')\n")
    with pytest.raises(LockError, match="cannot be built") as caught:
        locked(project)
    assert "no compiler here" in (caught.value.detail or "")


def test_wheels_from_a_folder_are_kept_like_built_ones(
    index: PackageIndex, make_project: MakeProject, tmp_path: Path
) -> None:
    write_wheel(tmp_path / "links", "gamma", "4.0")
    project = make_project("--find-links ../links\ngamma\n")
    locked(project)
    (wheel,) = lockfile.read(project.lock_file).local_wheels
    assert wheel.path.startswith(".dsenv/wheels/")
    assert str(tmp_path) not in project.lock_file.read_text()


def test_no_credential_of_an_index_reaches_the_lock(index: PackageIndex, make_project: MakeProject) -> None:
    secret = index.url.replace("http://", "http://user:hunter2@")
    project = make_project(f"--index-url {secret}\nalpha\n")
    locked(project)
    text = project.lock_file.read_text()
    assert "hunter2" not in text
    assert lockfile.read(project.lock_file).facts["indexes"] == [index.url]


def test_the_index_of_pip_serves_where_uv_has_none(
    index: PackageIndex, make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", index.url)
    monkeypatch.delenv("UV_DEFAULT_INDEX")
    assert locked(make_project("alpha==1.0\n")).packages == 1
    assert index.requests


def test_an_index_that_cannot_be_reached_is_said(
    index: PackageIndex, make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with pytest.raises(LockError, match="index cannot be reached"):
        locked(make_project("alpha\n"))


def test_an_index_that_is_not_trusted_is_said(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As behind a proxy that opens TLS, whose certificate only the system knows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path))
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"https://localhost:{server.server_port}/simple")
        monkeypatch.setenv("UV_HTTP_RETRIES", "0")
        with pytest.raises(LockError, match="certificate that is not trusted here") as caught:
            locked(make_project("alpha\n"))
        server.shutdown()
        thread.join()
    assert "UV_SYSTEM_CERTS" in (caught.value.hint or "")


def test_a_request_to_stop_ends_the_solver(index: PackageIndex, make_project: MakeProject) -> None:
    cancel = Cancel()
    cancel.set()
    project = make_project("alpha\n")
    with pytest.raises(Cancelled):
        workflow.lock(project, emit=ignore, cancel=cancel)
    assert not project.lock_file.exists()


def test_the_id_ignores_addresses_and_versions_of_tools(index: PackageIndex, make_project: MakeProject) -> None:
    project = make_project("beta\n")
    locked(project)
    data = project.lock_file.read_bytes()
    moved = data.replace(b"/files/", b"/mirror/").replace(b'dsenv = "0.1.0"', b'dsenv = "9.9.9"')
    assert lockfile.parse(moved, "moved").id == lockfile.parse(data, "lock").id
    assert moved != data


def test_python_is_checked_against_what_the_project_allows(index: PackageIndex, make_project: MakeProject) -> None:
    project = make_project("")
    (project.root / "pyproject.toml").write_text(
        '[project]\nname = "x"\nversion = "1"\nrequires-python = ">=3.12"\ndependencies = ["alpha"]\n'
    )
    config = project.config.model_copy(
        update={"environment": project.config.environment.model_copy(update={"source": "pyproject.toml"})}
    )
    with pytest.raises(LockError, match=r"needs Python >=3\.12"):
        locked(dataclasses.replace(project, config=config))
