"""Fuzz every parser, one after the other, and say what came of it.

::

    pip install -e '.[dev]' atheris      # Linux; where there is no wheel, tests/fuzz does without guidance
    python fuzz/run.py --seconds 60      # each; or name some: python fuzz/run.py coco voc --seconds 600

Anything but a refusal in one line is a finding: an exception, twenty seconds, or 2 GB. Inputs that reach new
code are kept in ``fuzz/corpus/<target>`` and findings in ``fuzz/found/<target>``, both outside of git;
``fuzz/regressions/<target>`` holds those that were transformed, which the tests read again.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tests" / "reports")]
_LIMITS = ("-timeout=20", "-rss_limit_mb=2048", "-max_len=8192", "-print_final_stats=1")


def main() -> None:
    """Run the targets that were named, or all; exit code 1 when something was found."""
    from targets import TARGETS

    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("targets", nargs="*", choices=[*TARGETS, []], help="all where none is named")
    arguments.add_argument("--seconds", type=int, default=60, help="for each target")
    given = arguments.parse_args()
    if importlib.util.find_spec("atheris") is None:
        sys.exit("atheris is not installed; pip install atheris (it has wheels for Linux)")
    print(f"{'target':<20} {'seconds':>7} {'executions':>11} {'edges':>6}  findings")
    found = [fuzzed(name, TARGETS[name].seeds(), given.seconds) for name in given.targets or TARGETS]
    sys.exit(any(found))


def fuzzed(name: str, seeds: list[bytes], seconds: int) -> int:
    """Run one target in a process of its own, print a line, and give the number of findings."""
    corpus, findings = (HERE / folder / name for folder in ("corpus", "found"))
    for folder in (corpus, findings):
        folder.mkdir(parents=True, exist_ok=True)
    for position, seed in enumerate(seeds):
        (corpus / f"seed-{position}").write_bytes(seed)
        (corpus / f"changed-{position}").write_bytes(b"\x01" + bytes(range(position, position + 16)))
    before = set(findings.iterdir())
    command = [sys.executable, str(HERE / "one.py"), name, str(corpus), f"-max_total_time={seconds}"]
    started = time.monotonic()
    ended = subprocess.run(
        [*command, *_LIMITS, f"-artifact_prefix={findings}/"],
        capture_output=True,
        text=True,
        errors="replace",
    )
    taken = time.monotonic() - started
    new = sorted(path.name for path in set(findings.iterdir()) - before)
    runs = re.search(r"stat::number_of_executed_units:\s*(\d+)", ended.stderr)
    edges = re.findall(r"cov: (\d+)", ended.stderr)
    print(f"{name:<20} {taken:7.0f} {runs[1] if runs else '?':>11} {edges[-1] if edges else '?':>6}  "
          f"{', '.join(new) or '-'}", flush=True)  # fmt: skip
    if ended.returncode and not new:
        print(f"  ended with {ended.returncode}: {ended.stderr[-300:]}", flush=True)
    if new:
        print("  " + "\n  ".join(_reason(ended.stderr)), flush=True)
    return len(new) or ended.returncode


def _reason(log: str) -> list[str]:
    """The exception and where it came from."""
    start = log.find("=== Uncaught Python exception")
    return log[start : start + 4000].splitlines()[:40] if start >= 0 else log[-600:].splitlines()


if __name__ == "__main__":
    main()
