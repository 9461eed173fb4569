"""One process at a time in a folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from calibrant.artifacts.lock import LOCK, locked
from calibrant.artifacts.store import output_folder
from calibrant.core.errors import OutputError

HOLDER = """
import sys, time
from pathlib import Path
from calibrant.artifacts.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_second_is_refused_and_told_who_the_first_is(tmp_path: Path) -> None:
    with (
        locked(tmp_path),
        pytest.raises(OutputError, match=f"is in use by process {os.getpid()}"),
        locked(tmp_path),
    ):
        raise AssertionError
    with locked(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(OutputError, match=f"process {holder.pid}"), locked(tmp_path):
            raise AssertionError
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        assert (tmp_path / LOCK).exists()
        with locked(tmp_path):
            pass
    assert not (tmp_path / LOCK).exists()


def test_of_many_at_once_one_is_in_at_a_time(tmp_path: Path) -> None:
    inside, most, entered = 0, 0, 0
    counting = threading.Lock()

    def work() -> None:
        nonlocal inside, most, entered
        for _ in range(200):
            try:
                with locked(tmp_path):
                    with counting:
                        inside += 1
                        entered += 1
                        most = max(most, inside)
                    with counting:
                        inside -= 1
            except OutputError:
                continue

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert entered > 0


def test_a_folder_of_results_is_locked_and_goes_with_its_lock(tmp_path: Path) -> None:
    with output_folder(tmp_path / "run") as folder:
        assert (folder / LOCK).exists()
        with pytest.raises(OutputError, match="in use"), output_folder(folder):
            raise AssertionError
    assert list((tmp_path / "run").iterdir()) == []

    def fail() -> None:
        with output_folder(tmp_path / "other"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert not (tmp_path / "other").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
@pytest.mark.parametrize("kind", ["symbolic link", "dangling link", "hard link", "file", "pipe", "folder"])
def test_what_is_no_lock_is_neither_followed_nor_overwritten(kind: str, tmp_path: Path) -> None:
    out, theirs = tmp_path / "out", tmp_path / "theirs.txt"
    out.mkdir()
    theirs.write_text("process of theirs")
    lock = out / LOCK
    plant: dict[str, Callable[[], object]] = {
        "symbolic link": lambda: lock.symlink_to(theirs),
        "dangling link": lambda: lock.symlink_to(tmp_path / "absent"),
        "hard link": lambda: lock.hardlink_to(theirs),
        "file": lambda: lock.write_text("notes of mine"),
        "pipe": lambda: os.mkfifo(lock),
        "folder": lock.mkdir,
    }
    plant[kind]()
    with pytest.raises(OutputError, match="delete it, or choose another folder"), locked(out):
        raise AssertionError
    assert theirs.read_text() == "process of theirs"
    assert os.path.lexists(lock)
    assert not (tmp_path / "absent").exists()
