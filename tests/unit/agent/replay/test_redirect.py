"""Redirection inside Python: which paths change, and that everything that opens files follows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from dsenv.agent.replay.redirect import mapper

NAMES = st.text(st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1, max_size=6).filter(
    lambda name: name not in {".", ".."}
)


def test_the_longest_prefix_wins_and_names_are_whole() -> None:
    change = mapper([("/srv/app", "/s/tree"), ("/srv/app/data", "/s/data"), ("/etc/x.ini", "/s/0")])
    assert change("/srv/app/a.py") == "/s/tree/a.py"
    assert change("/srv/app/data/x.csv") == "/s/data/x.csv"
    assert change("/srv/app") == "/s/tree"
    assert change("/srv/application/a.py") == "/srv/application/a.py"
    assert change("/etc/x.ini") == "/s/0"
    assert change("/srv/app/../app/a.py") == "/s/tree/a.py"


def test_kinds_of_paths_keep_their_kind() -> None:
    change = mapper([("/a", "/b")])
    assert change(b"/a/\xff") == b"/b/\xff"
    assert change(Path("/a/c")) == "/b/c"
    assert change(Path("c")) == Path("c")
    assert change(3) == 3
    assert change("a/c") == "a/c"


@given(st.lists(NAMES, min_size=1, max_size=4))
def test_a_path_below_the_prefix_keeps_its_rest(names: list[str]) -> None:
    rest = "/".join(names)
    assert mapper([("/old/root", "/new")])(f"/old/root/{rest}") == f"/new/{rest}"


def test_what_opens_files_follows(tmp_path: Path) -> None:
    here = tmp_path / "here"
    (here / "sub").mkdir(parents=True)
    (here / "x.txt").write_text("content")
    program = f"""
import sys, os, io, pathlib, shutil, glob
from dsenv.agent.replay import install
install({{"paths": [["/recorded/place", {str(here)!r}], ["/recorded/missing", {str(tmp_path / "none")!r}]]}})
p = "/recorded/place/x.txt"
assert open(p).read() == "content" == io.open(p).read() == pathlib.Path(p).read_text()
assert os.path.exists(p) and os.path.isfile(p) and os.path.isdir("/recorded/place/sub") and pathlib.Path(p).exists()
assert sorted(os.listdir("/recorded/place")) == ["sub", "x.txt"]
assert glob.glob("/recorded/place/*.txt") == [p]
assert os.stat(p).st_size == 7 and os.access(p, os.R_OK)
shutil.copy(p, "/recorded/place/y.txt"); os.rename("/recorded/place/y.txt", "/recorded/place/z.txt")
os.makedirs("/recorded/place/a/b"); os.remove("/recorded/place/z.txt")
try:
    open("/recorded/missing")
except FileNotFoundError:
    pass
else:
    raise SystemExit("a hidden file was found")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in here.iterdir()) == ["a", "sub", "x.txt"]
