"""Opening a recorded line in the editor, in the code that is here."""

from __future__ import annotations

from pathlib import Path

import pytest

from dsenv.errors import UsageError
from dsenv.workflows import edit


def test_the_working_tree_wins_over_the_recorded_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src/a.py").write_text("")
    monkeypatch.chdir(tmp_path)
    assert edit.local_file("/srv/app/src/a.py", "/srv/app") == tmp_path / "src/a.py"
    assert edit.local_file(str(tmp_path / "src/a.py"), "/srv/app") == tmp_path / "src/a.py"
    with pytest.raises(UsageError, match=r"there is no .*/b\.py here"):
        edit.local_file("/srv/app/b.py", "/srv/app")


@pytest.mark.parametrize(
    ("editor", "expected"),
    [
        ("vim -u NONE", ["vim", "-u", "NONE", "+7", "/x/a.py"]),
        ("/usr/bin/code --wait", ["/usr/bin/code", "--wait", "--goto", "/x/a.py:7"]),
        ("subl", ["subl", "/x/a.py:7"]),
    ],
)
def test_each_editor_goes_to_the_line(editor: str, expected: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDITOR", editor)
    monkeypatch.delenv("VISUAL", raising=False)
    assert edit.command(Path("/x/a.py"), 7) == expected


def test_no_editor_and_a_broken_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.delenv("EDITOR", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="no editor is known"):
        edit.command(tmp_path / "a.py", 1)
    monkeypatch.setenv("EDITOR", "/nowhere/editor")
    with pytest.raises(UsageError, match="cannot start the editor"):
        edit.edit(tmp_path / "a.py", 1)
    monkeypatch.setenv("EDITOR", "/bin/true")
    assert edit.edit(tmp_path / "a.py", 1) == 0
