"""Redirection inside Python: which paths change, and that everything that opens files follows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
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


def test_paths_that_climb_out_are_understood_from_where_the_program_believes_to_be(tmp_path: Path) -> None:
    tree = tmp_path / "files" / "srv" / "app"
    tree.mkdir(parents=True)
    (tmp_path / "put").write_text("recorded")
    program = f"""
import os
from dsenv.agent.replay import install
install({{"paths": [["/srv/app", {str(tree)!r}], ["/srv/in.txt", {str(tmp_path / "put")!r}]]}})
os.chdir({str(tree)!r})
assert open("../in.txt").read() == open("/srv/app/../in.txt").read() == "recorded"
assert not os.path.exists("../../nothing")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_an_error_names_the_files_that_the_program_named(tmp_path: Path) -> None:
    program = f"""
import os
from dsenv.agent.replay import install
install({{"paths": [["/srv/app", {str(tmp_path)!r}]]}})
for attempt in (
    lambda: open("/srv/app/x"), lambda: open(file="/srv/app/x"), lambda: os.listdir("/srv/app/x"),
    lambda: os.rename("/srv/app/x", "/srv/app/y"), lambda: open("/nowhere/x"),
):
    try:
        attempt()
    except FileNotFoundError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    one = "[Errno 2] No such file or directory: '/srv/app/x'"
    both, other = f"{one} -> '/srv/app/y'", one.replace("srv/app", "nowhere")
    assert done.stdout.splitlines() == [one, one, one, both, other], done.stderr


@pytest.mark.parametrize("first", ["", "import subprocess\n"])
def test_children_begin_where_the_folder_is_now(first: str, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    tool = tmp_path / "here" / "tool.sh"
    tool.write_text("#!/bin/sh\npwd; cat x.txt\n")
    tool.chmod(0o755)
    (tmp_path / "here" / "x.txt").write_text("content")
    program = f"""
{first}from dsenv.agent.replay import install
install({{"paths": [["/recorded/place", {str(tmp_path / "here")!r}]]}})
import subprocess
for words in (["./tool.sh"], ["/recorded/place/tool.sh"]):
    said = subprocess.run(words, cwd="/recorded/place", capture_output=True, check=True).stdout.decode()
    assert said == {str(tmp_path / "here")!r} + "\\ncontent", said
try:
    subprocess.run(["true"], cwd="/recorded/place/absent")
except FileNotFoundError as error:
    assert error.filename == "/recorded/place/absent", error.filename
"""
    subprocess.run([sys.executable, "-c", program], check=True)
