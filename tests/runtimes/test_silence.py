"""A study opens no connection and writes nothing outside of its folders, whatever vendors' packages like."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CLI_TESTS = Path(__file__).parents[1] / "cli"

STUDY = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from toy_detector import detector, saved, write_coco, write_images
saved(detector(), Path("m.onnx"))
write_images(Path("calib"), 2, seed=1)
write_coco(Path("test"), 4, seed=9)
import calibrant
found = calibrant.study("m.onnx", "calib", "test", out="out", calibrators="minmax", runtime={runtime!r},
                        diagnose_budget=0, executor={executor!r})
assert found.trials[0].status == "ok", found.trials
"""

# Counts what is asked of connect() and of the name service, by whatever code of the process.
INTERPOSER = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
static void tell(const char *what) {
    FILE *log = fopen(getenv("CONNECTIONS_LOG"), "a");
    if (log) { fprintf(log, "%s\n", what); fclose(log); }
}
int connect(int fd, const struct sockaddr *address, socklen_t length) {
    int (*real)(int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "connect");
    if (address->sa_family == AF_INET || address->sa_family == AF_INET6) tell("connect");
    return real(fd, address, length);
}
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **found) {
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **)
        = dlsym(RTLD_NEXT, "getaddrinfo");
    tell(node ? node : "getaddrinfo");
    return real(node, service, hints, found);
}
"""

# With a worker this process imports and runs what it does without one.
CASES = [("onnxruntime", "local:1"), ("openvino", None)]


def script(folder: Path, runtime: str, executor: str | None) -> Path:
    path = folder / "study.py"
    code = STUDY.format(tests=str(CLI_TESTS), runtime=runtime, executor=executor).splitlines()
    body = "\n".join(f"    {line}" for line in code)
    path.write_text(f'if __name__ == "__main__":\n{body}\n')
    return path


def environment(folder: Path) -> dict[str, str]:
    """A user's, as far as packages look at it: no CI, a home of its own."""
    names = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG")
    return {
        **{name: os.environ[name] for name in names if name in os.environ},
        "HOME": str(folder / "home"),
        "TMPDIR": str(folder / "tmp"),
        "CALIBRANT_CACHE": str(folder / "cache"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("home", "tmp"):
        (tmp_path / name).mkdir()
    return tmp_path


def needs(runtime: str) -> None:
    if runtime == "openvino":
        pytest.importorskip("openvino")


@pytest.mark.skipif(not shutil.which("cc") or sys.platform != "linux", reason="needs a C compiler, and Linux")
@pytest.mark.parametrize(("runtime", "executor"), CASES)
def test_nothing_connects(folder: Path, runtime: str, executor: str | None) -> None:
    needs(runtime)
    (folder / "interposer.c").write_text(INTERPOSER)
    library, log = folder / "interposer.so", folder / "connections.log"
    build = ["cc", "-shared", "-fPIC", "-o", str(library), str(folder / "interposer.c"), "-ldl"]
    subprocess.run(build, check=True)
    watched = {**environment(folder), "LD_PRELOAD": str(library), "CONNECTIONS_LOG": str(log)}
    probe = "import socket\ntry: socket.create_connection(('127.0.0.1', 9), 1)\nexcept OSError: pass"
    subprocess.run([sys.executable, "-c", probe], env=watched, check=True)
    assert log.read_text(), "a connection would be seen"
    log.unlink()
    command = [sys.executable, str(script(folder, runtime, executor))]
    subprocess.run(command, cwd=folder, env=watched, check=True, timeout=120)
    assert not log.exists() or log.read_text() == ""
    assert_home_is_ours(folder)


def assert_home_is_ours(folder: Path) -> None:
    """Nothing lies in the user's home but Calibrant's own store of runs."""
    found = {path.relative_to(folder / "home").as_posix() for path in (folder / "home").rglob("*")}
    kept = ".local/share/calibrant"
    assert {name for name in found if not (name.startswith(kept) or kept.startswith(name))} == set()


def may_leave_the_network() -> bool:
    if not (shutil.which("unshare") and shutil.which("strace")):
        return False
    command = ["unshare", "-n", "strace", "-f", "-o", os.devnull, "true"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(not may_leave_the_network(), reason="needs strace, and the right to a network namespace")
@pytest.mark.parametrize(("runtime", "executor"), CASES)
def test_without_a_network_nothing_is_tried_and_nothing_written_elsewhere(
    folder: Path, runtime: str, executor: str | None
) -> None:
    needs(runtime)
    log = folder / "calls.log"
    calls = "trace=connect,openat,open,creat,mkdir,mkdirat,rename,renameat,renameat2,unlink,unlinkat"
    command = ["unshare", "-n", "strace", "-f", "-qq", "-e", calls, "-o", str(log)]
    command += [sys.executable, str(script(folder, runtime, executor))]
    subprocess.run(command, cwd=folder, env=environment(folder), check=True, timeout=300)
    lines = log.read_text(errors="replace").splitlines()
    assert len(lines) > 1000
    assert [line for line in lines if "connect(" in line and "AF_INET" in line] == []
    changes = [
        line for line in lines if re.search(r"O_WRONLY|O_RDWR|O_CREAT|creat\(|mkdir|rename|unlink", line)
    ]
    assert any(str(folder) in line or '"out' in line for line in changes)
    # Shared memory and semaphores are multiprocessing's; relative names lie in the study's folder.
    ours = (str(folder), "/dev/null", "/dev/shm/", "/dev/tty", "/proc/self/")
    done = [line for line in changes if not re.search(r"= -1 E\w+", line)]
    names = [match[1] for line in done if (match := re.search(r'"(/[^"]*)"', line))]
    assert [name for name in names if not name.startswith(ours)] == []
    assert_home_is_ours(folder)
