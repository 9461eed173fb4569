"""A worker in an interpreter of its own: what it breaks, it breaks alone."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from calibrant.core.errors import RuntimeFailedError, SettingsError
from calibrant.core.types import Feeds
from calibrant.runtimes.tensorrt_worker.messages import read_message, write_message

_LAST_LINES = 20
_MOST_WARNINGS = 2000
_LONGEST_WORDS = 600
_GRACE_SECONDS = 5


class WorkerFailedError(RuntimeFailedError):
    """The worker answered a request with an error; ``kind`` is the type of the exception there."""

    def __init__(self, message: str, kind: str) -> None:
        super().__init__(message)
        self.kind = kind


class _PipeClosedError(Exception):
    """The process is gone, or about to go."""


class WorkerProcess:
    """Starts ``command`` and asks it, one request at a time; ``name`` is whom its failures are blamed on.

    Raises SettingsError when it cannot be started.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], name: str) -> None:
        self.name = name
        self._errors: deque[str] = deque(maxlen=_LAST_LINES)
        self._warnings: deque[str] = deque(maxlen=_MOST_WARNINGS)
        self._printed: deque[str] = deque(maxlen=_LAST_LINES)
        try:
            self._process = subprocess.Popen(  # noqa: S603
                command,
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=sys.platform != "win32",
            )
        except OSError as error:
            raise SettingsError(
                f"cannot start {command[0]}: {error.strerror}; give another Python"
            ) from error
        self._listener = threading.Thread(target=self._keep_last_lines, daemon=True)
        self._listener.start()

    def ask(
        self,
        request: Mapping[str, Any],
        arrays: Feeds | None = None,
        *,
        doing: str,
        seconds: float,
        batches: Iterator[Feeds] = iter(()),  # noqa: B008
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Send a request and give the reply's header and arrays.

        ``doing`` completes "failed while ..."; ``batches`` feed a calibrator that asks for them.
        Raises WorkerFailedError when the worker says no, and RuntimeFailedError when it crashes, talks
        nonsense or does not answer within ``seconds`` (it is stopped then).
        """
        self._errors.clear()
        self._warnings.clear()
        with self._deadline(seconds) as expired:
            try:
                self._send(request, arrays or {})
                header, results = self._answer(batches, doing)
            except _PipeClosedError as error:
                raise RuntimeFailedError(self._how_it_ended(doing, seconds, expired)) from error
        if header["kind"] == "error":
            words = self._words(header["text"])
            raise WorkerFailedError(f"{self.name} failed while {doing}: {words}", header["type"])
        return header, results

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the worker warned of while it answered the last request, in order."""
        return tuple(self._warnings)

    def close(self) -> None:
        """End the process, and whatever it started."""
        self._kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE_SECONDS)
        self._listener.join(_GRACE_SECONDS)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()

    def _kill(self) -> None:
        """Kill the process and, where a wrapper script started the interpreter, that too."""
        with contextlib.suppress(OSError):
            if sys.platform == "win32":
                self._process.kill()
            else:
                os.killpg(self._process.pid, signal.SIGKILL)

    def _answer(self, batches: Iterator[Feeds], doing: str) -> tuple[dict[str, Any], dict[str, Any]]:
        while True:
            header, arrays = self._received(doing)
            if header["kind"] == "log":
                (self._errors if header["level"] == "error" else self._warnings).append(header["text"])
            elif header["kind"] == "want_batch":
                batch = next(batches, None)
                self._send({"kind": "end" if batch is None else "batch"}, batch or {})
            else:
                return header, arrays

    def _send(self, header: Mapping[str, Any], arrays: Feeds) -> None:
        assert self._process.stdin is not None
        try:
            write_message(self._process.stdin, header, arrays)
        except OSError as error:
            raise _PipeClosedError from error

    def _received(self, doing: str) -> tuple[dict[str, Any], dict[str, Any]]:
        assert self._process.stdout is not None
        try:
            return read_message(self._process.stdout)
        except (OSError, EOFError) as error:
            raise _PipeClosedError from error
        except ValueError as error:
            raise RuntimeFailedError(f"{self.name} talks nonsense while {doing}: {error}") from error

    @contextlib.contextmanager
    def _deadline(self, seconds: float) -> Iterator[threading.Event]:
        """Stop the process when the time is up, which ends whatever waits for it."""
        expired = threading.Event()

        def stop() -> None:
            expired.set()
            self._kill()

        timer = threading.Timer(seconds, stop)
        timer.daemon = True
        timer.start()
        try:
            yield expired
        finally:
            timer.cancel()

    def _how_it_ended(self, doing: str, seconds: float, expired: threading.Event) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE_SECONDS)
        self._listener.join(_GRACE_SECONDS)
        if expired.is_set():
            return (
                f"{self.name} was not done with {doing} after {seconds:g} s and was stopped"
                f"{self._last_words()}; allow more with timeout=SECONDS"
            )
        return f"{self.name} crashed ({_manner(self._process.returncode)}) while {doing}{self._last_words()}"

    def _last_words(self) -> str:
        words = self._words("")
        return f", its last words: {words}" if words else ""

    def _words(self, text: str) -> str:
        """TensorRT's errors say most, then its warnings, then whatever was printed; in one line."""
        said = list(self._errors) or list(self._warnings) or list(self._printed)[-3:]
        parts = [text, *dict.fromkeys(said[-4:])]
        return " ".join("; ".join(part.strip() for part in parts if part.strip()).split())[:_LONGEST_WORDS]

    def _keep_last_lines(self) -> None:
        assert self._process.stderr is not None
        with contextlib.suppress(ValueError):
            for line in self._process.stderr:
                self._printed.append(line.decode(errors="replace"))


def _manner(returncode: int | None) -> str:
    if returncode is not None and returncode < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-returncode).name
    return f"exit code {returncode}"
