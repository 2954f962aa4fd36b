"""Libraries that open files in their own ways, below the hook."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dsenv.agent.capture.spool import Spool


def read_by(body: str, folder: Path) -> dict[str, dict[str, Any]]:
    """What a program told of what it read below `folder`, by relative name or URI, the first time."""
    made = Spool.make({"TMPDIR": str(folder)}, None)
    made.fill(
        {"copies": made.copies, "root": str(folder), "cap": "100000", "total": "100000", "ignored": made.folder,
         "seed": "", "replay": "", "agent": ""}
    )  # fmt: skip
    environ = os.environ | {"PYTHONPATH": made.hook}
    words = [sys.executable, "-c", body]
    done = subprocess.run(
        words, check=False, cwd=folder, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert done.returncode == 0 or b"ends here" in done.stderr, done.stderr
    found: dict[str, dict[str, Any]] = {}
    for event in made.events():
        if event["e"] == "input" and (event["path"].startswith(str(folder)) or "://" in event["path"]):
            name = event["path"] if "://" in event["path"] else os.path.relpath(event["path"], folder)
            found.setdefault(name, event)
    return found


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    body = (
        "import os, pyarrow as a, pyarrow.parquet as p, pyarrow.feather as f\n"
        "t = a.table({'a': [1, 2]}); os.makedirs('set/y=1')\n"
        "for n in ('a', 'b', 'c', 'd', 'set/y=1/x'): p.write_table(t, n + '.parquet')\n"
        "f.write_feather(t, 'a.feather'); open('a.csv', 'w').write('a\\n1\\n')\n"
        "open('a.json', 'w').write('{\"a\": 1}')\n"
    )
    subprocess.run([sys.executable, "-c", body], check=True, cwd=folder)
    return folder


def test_what_arrow_is_told_to_read_is_kept(tables: Path) -> None:
    found = read_by(
        "import pathlib, pyarrow as a, pyarrow.parquet as p, pyarrow.csv as c, pyarrow.json as j\n"
        "import pyarrow.dataset as d, pyarrow.feather as f\n"
        "p.read_table('a.parquet'); p.ParquetFile(pathlib.Path('b.parquet')); p.read_schema('c.parquet')\n"
        "c.read_csv('a.csv'); j.read_json('a.json'); d.dataset('set').count_rows(); f.read_table('a.feather')\n"
        "with a.memory_map('d.parquet') as m: m.read()\n"
        "for bad in (3, None, 'nowhere.parquet'):\n"
        "    try: p.read_table(bad)\n"
        "    except (TypeError, OSError, AttributeError): pass\n",
        tables,
    )
    names = {"a.parquet", "b.parquet", "c.parquet", "d.parquet", "a.csv", "a.json", "a.feather", "set/y=1/x.parquet"}
    assert {name for name, item in found.items() if "copy" in item} == names
    assert found["nowhere.parquet"]["missing"]
    assert found["set"]["how"] == found["set/y=1"]["how"] == "listed"


def test_where_it_is_not_here_it_is_named(tables: Path) -> None:
    found = read_by(
        "import pyarrow.parquet as p, pyarrow.fs as f\n"
        "try: p.read_table('s3://127.0.0.1:1/none', filesystem=f.S3FileSystem(endpoint_override='127.0.0.1:1', "
        "connect_timeout=0.1, request_timeout=0.1, anonymous=True))\n"
        "except (OSError, ValueError): pass\n",
        tables,
    )
    (item,) = (item for name, item in found.items() if "://" in name)
    assert item["how"] == "pyarrow" and "not kept" in item["note"]


REMOTE = """
import io
from fsspec.spec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem
class File(io.BytesIO):
    size, details = 3, {"ETag": '"x"', "VersionId": "7"}
class Far(AbstractFileSystem):
    protocol = ("far", "further")
    def _open(self, path, mode="rb", **kwargs): return File(b"abc")
assert Far().open("bucket/key").read() == b"abc"
assert Far().open("bucket/text", "r").read() == "abc"
Far().open("bucket/new", "wb").close()
LocalFileSystem().open("near.txt", "rb").close()
"""


def test_files_of_other_places_are_named(tmp_path: Path) -> None:
    (tmp_path / "near.txt").write_text("x")
    found = read_by(REMOTE, tmp_path)
    found.pop(".", None)  # the standard library looks for installed packages there
    assert set(found) == {"far://bucket/key", "far://bucket/text", "near.txt"}
    key = found["far://bucket/key"]
    assert (key["size"], key["etag"], key["version"], key["how"]) == (3, '"x"', "7", "fsspec")
    assert "copy" in found["near.txt"]


@pytest.mark.parametrize(
    "start",
    [
        "subprocess.run(['cat', 'a.txt'])",
        "subprocess.run('sort < a.txt | cat', shell=True)",
        "subprocess.run(['cat', 'a.txt'], cwd=os.getcwd(), env=dict(os.environ))",
        "subprocess.run(['sh', '-c', '. /dev/null; cat \"a.txt\"'])",
        "subprocess.run(['grep', '-c', '--file=a.txt', '/dev/null'])",
        "os.system('cat a.txt')",
        "os.waitpid(os.posix_spawn('/bin/cat', ['cat', 'a.txt'], os.environ), 0)",
    ],
)
def test_what_a_started_program_is_told_to_read_is_kept(start: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    found = read_by(f"import os, subprocess; {start}", tmp_path)
    assert found["a.txt"]["how"] == "child" and "copy" in found["a.txt"]


def test_databases_are_kept_with_their_log_however_they_are_named(tmp_path: Path) -> None:
    found = read_by(
        "import sqlite3, pathlib\n"
        "c = sqlite3.connect('wal.db'); c.execute('pragma journal_mode=wal')\n"
        "c.execute('create table t (a)'); c.commit()\n"
        "import os\nif os.fork() == 0:\n"
        "    from sqlite3 import dbapi2\n"
        "    address = 'file:' + os.path.abspath('wal.db') + '?mode=ro&cache=private'\n"
        "    dbapi2.connect(address, uri=True).execute('select * from t')\n"
        "    dbapi2.connect(pathlib.Path('wal.db')).close(); dbapi2.connect(':memory:').close(); os._exit(0)\n"
        "os.wait()",
        tmp_path,
    )
    assert {"wal.db", "wal.db-wal"} <= set(found)


def test_listed_folders_are_told_once_and_own_ones_not(tmp_path: Path) -> None:
    (tmp_path / "in/sub").mkdir(parents=True)
    (tmp_path / "in/a").touch()
    found = read_by(
        "import glob, os, pathlib\n"
        "for _ in range(3):\n"
        "    os.listdir('in'); glob.glob('in/*'); list(pathlib.Path('in').iterdir()); list(os.walk('in'))\n"
        "os.makedirs('made/deep', exist_ok=True); os.listdir('made'); os.listdir('made/deep')\n"
        "open('in/b', 'w').close(); os.rename('in/b', 'in/c'); open('in/c').close()\n",
        tmp_path,
    )
    assert set(found) == {"in", "in/sub"}
    assert sorted(found["in"]["entries"]) == ["a", "sub/"]


def test_functions_keep_their_places_in_the_sets_of_os(tmp_path: Path) -> None:
    body = (
        "import os, shutil\nassert shutil.rmtree.avoids_symlink_attacks\n"
        "assert {os.open, os.mkdir, os.rename} <= os.supports_dir_fd and {os.listdir, os.scandir} <= os.supports_fd"
    )
    read_by(body, tmp_path)


def test_what_compiled_code_has_open_when_the_program_fails_is_kept(tmp_path: Path) -> None:
    for name in ("open", "mapped", "closed", "written", "deleted"):
        (tmp_path / name).write_text(name)
    body = """
import ctypes, os
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
flags = dict.fromkeys(("open", "mapped", "closed", "deleted"), os.O_RDONLY) | {"written": os.O_WRONLY}
handles = {name: libc.open(name.encode(), flags[name]) for name in flags}
libc.mmap(None, 4096, 1, 2, handles["mapped"], ctypes.c_long(0))
for name in ("mapped", "closed"): libc.close(handles[name])
os.unlink("deleted")
raise ValueError("ends here")
"""
    found = read_by(body, tmp_path)
    assert {name for name, item in found.items() if item["how"] == "native"} == {"open", "mapped"}
    assert all("copy" in found[name] for name in ("open", "mapped"))
