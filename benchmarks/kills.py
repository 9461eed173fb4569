"""Kill a study again and again, go on with it each time, and compare it with an undisturbed one.

::

    python benchmarks/kills.py MODEL --calib FOLDER --data DATASET --kills 100 [--seed 0] [options of study]

Every process is ended by SIGKILL at a random moment of the time that an undisturbed study takes, or by
SIGINT (Ctrl-C) at every tenth. Whenever the study gets to its end it has to be the undisturbed one, and
begins anew. After every kill the folder may hold no damaged result, and at the end nothing half written.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calibrant.artifacts.checksums import damaged_files, read_checksums

# What differs between any two runs: dates, places and times.
VARIES = {"created", "calibration_seconds", "seconds", "latency", "path", "dataset", "calibration"}
RESULT = "study.json"


@dataclass
class Tally:
    """What happened."""

    kills: int = 0
    interrupts: int = 0
    finished: int = 0
    before_anything: int = 0


def figures(value: Any) -> Any:
    """What a study.json holds besides what differs between any two runs."""
    if isinstance(value, dict):
        return {key: figures(item) for key, item in value.items() if key not in VARIES}
    return [figures(item) for item in value] if isinstance(value, list) else value


def outcome(run: Path) -> tuple[Any, dict[str, str]]:
    """A finished run's figures and its other files' checksums."""
    sums = read_checksums(run)
    sums.pop(RESULT)
    return figures(json.loads((run / RESULT).read_text(encoding="utf-8"))), sums


class Victim:
    """The study that is killed. ``options`` are those of ``calibrant study`` without --out."""

    def __init__(self, options: list[str], folder: Path) -> None:
        self.run, self._options = folder / "run", options
        self._cache = folder / "cache"
        self._environment = {
            **os.environ,
            "CALIBRANT_CACHE": str(self._cache),
            "CALIBRANT_STORE": str(folder / "runs.sqlite"),
        }

    def start(self) -> subprocess.Popen[bytes]:
        """Begin, or go on: by ``resume`` where there is something to resume."""
        is_begun = (self.run / "request.json").is_file()
        begin = ["study", *self._options, "--out", str(self.run)]
        arguments = ["resume", str(self.run)] if is_begun else begin
        return subprocess.Popen(
            [sys.executable, "-m", "calibrant", *arguments],
            env=self._environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip

    def finish(self) -> float:
        """Run to the end, undisturbed; gives the seconds."""
        begun = time.monotonic()
        with self.start() as process:
            _, words = process.communicate()
        if process.returncode:
            sys.exit(f"an undisturbed study failed:\n{words.decode(errors='replace')}")
        return time.monotonic() - begun

    def clear(self) -> None:
        """Forget everything."""
        shutil.rmtree(self.run, ignore_errors=True)
        shutil.rmtree(self._cache, ignore_errors=True)

    def leftovers(self) -> list[str]:
        """Hidden files: drafts, and the lock."""
        return sorted(path.name for path in self.run.rglob(".*"))


def killed(victim: Victim, seconds: float, how: signal.Signals, tally: Tally) -> bool:
    """Start the study and end it after ``seconds``; whether it came to its end before."""
    with victim.start() as process:
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(how)
        _, words = process.communicate()
    said = words.decode(errors="replace")
    is_starting = how is signal.SIGINT and said.rstrip().endswith("KeyboardInterrupt")  # Python itself
    if not is_starting and ("Traceback" in said or process.returncode not in (0, -how, 130)):
        sys.exit(f"exit code {process.returncode} after {seconds:.2f} s:\n{said}")
    if process.returncode == 0:
        return True
    tally.kills += how is signal.SIGKILL
    tally.interrupts += how is signal.SIGINT
    tally.before_anything += not victim.run.exists()
    if (victim.run / RESULT).exists() and damaged_files(victim.run):
        sys.exit(f"a finished run is damaged: {damaged_files(victim.run)}")
    return False


def main() -> None:
    """Kill, go on and compare; exit code 1 where a result differs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model")
    parser.add_argument("--calib", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    given, more = parser.parse_known_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    options = [given.model, "--calib", given.calib, "--data", given.data, *more]
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        victim = Victim(options, Path(folder))
        compare_after_kills(victim, given.kills, random.Random(given.seed))


def compare_after_kills(victim: Victim, kills: int, rng: random.Random) -> None:
    """Kill ``kills`` times; every study that ends has to be the undisturbed one."""
    alone = victim.finish()
    expected = outcome(victim.run)
    print(f"undisturbed: {alone:.1f} s", flush=True)
    victim.clear()
    tally = Tally()
    while tally.kills + tally.interrupts < kills:
        how = signal.SIGINT if (tally.kills + tally.interrupts) % 10 == 9 else signal.SIGKILL
        if killed(victim, rng.uniform(0, alone), how, tally):
            finish(victim, expected, tally)
    victim.finish()
    finish(victim, expected, tally)
    print(
        f"{tally.kills} kills and {tally.interrupts} interrupts, {tally.before_anything} of them before "
        f"anything was written; {tally.finished} studies came to their end, all like the undisturbed one"
    )


def finish(victim: Victim, expected: tuple[Any, dict[str, str]], tally: Tally) -> None:
    """Hold a study that has ended against the undisturbed one, and clear the table."""
    found = outcome(victim.run)
    if found != expected:
        names = [name for name in expected[1] if found[1].get(name) != expected[1][name]]
        sys.exit(f"a resumed study differs from the undisturbed one: {names or RESULT}")
    if victim.leftovers():
        sys.exit(f"half-written files are left: {victim.leftovers()}")
    tally.finished += 1
    victim.clear()


if __name__ == "__main__":
    main()
