"""The long steps of `make book` and `make env` show that they move."""

import io
import os
import re
import shlex
import sys
from pathlib import Path

import pytest

from tools import book, install, progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_has_one_line_that_is_written_over():
    out = Terminal()
    count = progress.Count(out)
    count.say(1, "packages found")
    count.say(2, "packages found")
    count.end()
    shown = "\r\033[K1 packages found\r\033[K2 packages found\r\033[K"
    assert out.getvalue() == shown


def test_elsewhere_a_line_comes_now_and_then():
    out = io.StringIO()
    count = progress.Count(out)
    for number in range(1, 120):
        count.say(number, "packages found")
    count.end()
    lines = ["1 packages found", "50 packages found", "100 packages found"]
    assert out.getvalue().splitlines() == lines


@pytest.fixture
def pip(monkeypatch, tmp_path):
    """`pip(script)` lets a shell script be pip; packages land in a folder."""
    monkeypatch.setattr(install.sysconfig, "get_path", lambda name: str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cpu.txt").write_text("# by a compiler\na==1 \\\n    --hash=sha256:0\n")

    def be(script):
        monkeypatch.setattr(install, "PIP", ["sh", "-c", script])

    return be


def test_packages_are_counted_as_pip_finds_and_installs_them(pip, monkeypatch):
    pip(
        "mkdir a.dist-info; cat go & "
        "printf 'Collecting a\\nCollecting b\\n"  # all at once, as from its cache
        "Installing collected packages: a, b\\n'; wait"
    )
    out = io.StringIO()
    os.mkfifo("go")
    say = progress.Count.say

    def said(self, number, what):
        say(self, number, what)
        if what == "of 2 packages installed":  # pip ends once it was said
            open("go", "w").close()

    monkeypatch.setattr(progress.Count, "say", said)
    assert install.install("cpu.txt", out) == 0
    lines = ["1 packages found", "1 of 2 packages installed"]
    assert out.getvalue().splitlines() == lines


def test_two_pips_share_the_packages(pip, tmp_path):
    names = ["a", "b-one", "b-two", "c", "d"]
    lock = "".join(f"{name}==1 \\\n    --hash=sha256:{name}\n" for name in names)
    (tmp_path / "cpu.txt").write_text(f"# by a compiler\n{lock}")
    os.mkfifo("both")  # the first waits for the second, which has to come meanwhile
    pip(
        'cat "$0" >> all; '
        "if mkdir first; then timeout 60 cat both; else echo > both; fi"
    )
    out = io.StringIO()
    assert install.install("cpu.txt", out) == 0
    assert sorted(re.findall("^.*==", Path("all").read_text(), re.M)) == [
        f"{name}==" for name in names
    ]


def test_packages_that_may_share_a_file_go_to_the_same_pip(tmp_path):
    lock = Path(__file__).parents[2] / "requirements/gpu.txt"
    paths = install.parts(lock, tmp_path)
    found = [set(re.findall("^nvidia-[^=]+", p.read_text(), re.M)) for p in paths]
    assert sorted(map(len, found)) == [0, 10]


def test_the_other_pip_is_ended_where_one_fails(pip, tmp_path):
    (tmp_path / "cpu.txt").write_text("a==1\nb==1\n")
    # Counting takes seconds, and leaves no other process behind where it is ended.
    count = "i=0; while [ $i -lt 5000000 ]; do i=$((i + 1)); done"
    pip(f"if mkdir first; then echo 'ERROR: no a'; exit 1; fi; {count}; touch late")
    out = io.StringIO()
    assert install.install("cpu.txt", out) == 1
    assert out.getvalue().startswith("ERROR: no a\npip could not install cpu.txt;")
    assert not Path("late").exists()


def test_a_failing_pip_is_quoted_and_says_what_to_do(pip):
    pip("echo 'ERROR: No matching distribution found for a==1' >&2; exit 1")
    out = io.StringIO()
    assert install.install("cpu.txt", out) == 1
    assert out.getvalue() == (
        "ERROR: No matching distribution found for a==1\n"
        "pip could not install cpu.txt; its last lines are above. Give "
        "the same command again, once the package index can be reached or what pip "
        "names is mended: it begins anew.\n"
    )


def test_a_real_pip_without_an_index(monkeypatch, tmp_path, capfd):
    """What a person sees on a machine without a network."""
    lock = tmp_path / "cpu.txt"
    lock.write_text(f"no-such-package==1 --hash=sha256:{'0' * 64}\n")
    nowhere = ["--no-index", f"--find-links={tmp_path}"]
    monkeypatch.setattr(install, "PIP", [*install.PIP[:4], *nowhere, *install.PIP[4:]])
    assert install.install(str(lock), sys.stdout) == 1
    said = capfd.readouterr().out
    assert "No matching distribution found for no-such-package==1" in said
    assert said.splitlines()[-1].startswith(f"pip could not install {lock}")


def built(monkeypatch, capfd, *lines, status=0):
    """The exit status and what is shown where Jupyter Book prints these lines."""
    script = f"import sys; print({chr(10).join(lines)!r}); sys.exit({status})"
    monkeypatch.setattr(book, "BUILD", script)
    ended = book.build()
    shown = capfd.readouterr()
    return ended, shown.out + shown.err


def test_the_book_shows_how_far_it_is_and_no_banner(monkeypatch, capfd):
    blue, plain = "\x1b[34m", "\x1b[39;49;00m"
    lines = [f"reading sources... {plain}[{n:3}%] {blue}page" for n in (8, 50, 100)]
    lines += ["writing output... [ 8%] page", "=====", "Finished generating HTML"]
    assert built(monkeypatch, capfd, *lines) == (
        0,
        "8 % of the pages read\n50 % of the pages read\n100 % of the pages read\n"
        "8 % of the pages written\n",
    )


def test_the_book_shows_each_warning(monkeypatch, capfd):
    warning = "index.md:3: WARNING: 'myst' cross-reference target not found"
    status, shown = built(monkeypatch, capfd, "reading", warning, status=1)
    assert status == 1 and warning in shown


def test_the_real_command_line_is_jupyter_books():
    assert shlex.join(book.OPTIONS) == "build . --all -W -n --keep-going"
