"""One part of a model of several: to every stage a model of its own; the other parts belong to the task.

Whatever measures a model of one file so measures a part: what differs is who runs the rest.
"""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from calibrant.artifacts.arrays import LARGEST, packed, unpacked
from calibrant.core.closing import ClosesOnExit
from calibrant.core.metrics import Evidence, Metric, Score
from calibrant.core.reading import read_bytes
from calibrant.core.scratch import ScratchFolder
from calibrant.core.tasks import Differences, Evaluated, Look, ResultCache, Task, sole
from calibrant.core.types import Feeds, Session
from calibrant.core.writing import write_atomically
from calibrant.runtimes import REFERENCE, runtime_named
from calibrant.stages.parallel import workers_of

_SHARE_OF_DISK = 4
"""What is kept may take one part in so many of the free space."""


class KeptOutputs:
    """What models gave for their inputs, in a folder for the time being: a quarter of the disk at most."""

    def __init__(self) -> None:
        self._folder: ScratchFolder | None = None
        self._lock = threading.Lock()
        self._left = 0

    def get(self, key: str) -> Feeds | None:
        """What is kept under a key; None: nothing."""
        path = self._path(key)
        if not path.is_file():
            return None
        try:
            return unpacked(read_bytes(path, LARGEST))
        except (OSError, ValueError):  # the folder is a temporary one, and may be cleared
            return None

    def keep(self, key: str, outputs: Feeds) -> None:
        """Keep a run's outputs, if there is room."""
        size = sum(array.nbytes for array in outputs.values())
        path = self._path(key)
        with self._lock:
            if size > self._left or path.is_file():
                return
            self._left -= size
        with suppress(OSError):  # a full disk costs time only
            write_atomically(path, packed(outputs, is_small=False), durably=False)

    def place(self, name: str) -> Path:
        """Where a file of this name may be put, for the time being."""
        with self._lock:
            if self._folder is None:
                self._folder = ScratchFolder()
                self._left = shutil.disk_usage(self._folder.path).free // _SHARE_OF_DISK
        return self._folder.path / name

    def _path(self, key: str) -> Path:
        return self.place(f"{key}.npz")

    def __getstate__(self) -> dict[str, Any]:
        """Another process keeps its own."""
        return {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        del state
        self.__init__()  # type: ignore[misc]


class RememberingSession(ClosesOnExit):
    """A session that runs the same inputs once. identity: of the model."""

    def __init__(self, session: Session, kept: KeptOutputs, identity: str) -> None:
        self._session, self._kept, self._identity = session, kept, identity
        self.concurrency = workers_of(session)

    def run(self, feeds: Feeds) -> Feeds:
        """What was kept, or else what the model gives now."""
        key = self._key(feeds)
        known = self._kept.get(key)
        if known is not None:
            return known
        outputs = self._session.run(feeds)
        self._kept.keep(key, outputs)
        return outputs

    def close(self) -> None:
        """Close the session beneath."""
        self._session.close()

    def _key(self, feeds: Feeds) -> str:
        digest = hashlib.blake2b(self._identity.encode(), digest_size=20)
        for name in sorted(feeds):
            array = np.ascontiguousarray(feeds[name])
            digest.update(f"{name} {array.dtype} {array.shape}".encode())
            digest.update(array.view(np.uint8).reshape(-1).data if array.size else b"")
        return digest.hexdigest()


@dataclass
class OtherParts:
    """The parts of a model that are not the one that is measured, opened where and when they first run.

    files: by part. runtime: as users name it. kept: of which parts what they give is kept, in ``outputs``.
    """

    files: Mapping[str, Path]
    runtime: str
    kept: Sequence[str] = ()
    outputs: KeptOutputs = field(default_factory=KeptOutputs)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._sessions: dict[str, Session] | None = None
        self._stack = ExitStack()

    def sessions(self) -> Mapping[str, Session]:
        """Each other part's session. Raises RuntimeFailedError where the runtime refuses one."""
        with self._lock:
            if self._sessions is None:
                runtime = runtime_named(self.runtime)
                opened = {}
                for part, file in self.files.items():
                    session = self._stack.enter_context(runtime.open(file))
                    opened[part] = (
                        RememberingSession(session, self.outputs, str(file)) if part in self.kept else session
                    )
                self._sessions = opened
        return self._sessions

    def close(self) -> None:
        """Close what was opened; it is opened again when it is run again."""
        with self._lock:
            self._sessions = None
            self._stack.close()

    def __getstate__(self) -> dict[str, Any]:
        return {"files": self.files, "runtime": self.runtime, "kept": self.kept, "outputs": self.outputs}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.__post_init__()


def equipped(task: Task) -> Task:
    """The task with the models that it measures by, on the reference runtime."""
    tools = task.instruments
    return task.equipped(OtherParts(tools, REFERENCE).sessions) if tools else task


class PartTask(Task):
    """A task of several parts, as the task of one of them: the others run beside it."""

    def __init__(self, whole: Task, part: str, others: OtherParts) -> None:
        self.whole, self.part, self.others = whole, part, others
        self.name, self.words, self.batch = whole.name, whole.words, whole.batch
        self.needs_reference = whole.needs_reference

    @property
    def metric(self) -> Metric:
        """The whole's."""
        return self.whole.metric

    def drive(self, sessions: Mapping[str, Session], samples: Sequence[Any]) -> Sequence[Any]:
        """The raw outputs of the whole. Raises as the whole's task."""
        return self.whole.drive({**self.others.sessions(), self.part: sole(sessions)}, samples)

    def interpret(self, raw: Any, sample: Any) -> Any:
        """As the whole's task."""
        return self.whole.interpret(raw, sample)

    def score(self, samples: Sequence[Any], predictions: Sequence[Any]) -> Score:
        """As the whole's task."""
        return self.whole.score(samples, predictions)

    def agreement(self, reference: Sequence[Any], found: Sequence[Any]) -> float:
        """As the whole's task."""
        return self.whole.agreement(reference, found)

    def evidence(self, samples: Sequence[Any], predictions: Sequence[Any]) -> Evidence:
        """As the whole's task."""
        return self.whole.evidence(samples, predictions)

    def referring_to(self, samples: Sequence[Any], predictions: Sequence[Any]) -> Self:
        """The same part of the whole that knows what the float model predicts."""
        return self._of(self.whole.referring_to(samples, predictions))

    def check(self, raw: Any, sample: Any) -> None:
        """As the whole's task."""
        self.whole.check(raw, sample)

    def pack(self, predictions: Sequence[Any]) -> Mapping[str, NDArray[Any]] | None:
        """As the whole's task."""
        return self.whole.pack(predictions)

    def unpack(self, arrays: Mapping[str, NDArray[Any]]) -> Sequence[Any]:
        """As the whole's task."""
        return self.whole.unpack(arrays)

    def digest(self, sample: Any) -> bytes | None:
        """As the whole's task."""
        return self.whole.digest(sample)

    def memory(self, sample: Any) -> int:
        """As the whole's task."""
        return self.whole.memory(sample)

    @property
    def prediction_bytes(self) -> int:
        """As the whole's task."""
        return self.whole.prediction_bytes

    @property
    def prepared_bytes(self) -> int:
        """As the whole's task."""
        return self.whole.prepared_bytes

    def remembering(self, cache: ResultCache) -> Self:
        """The same part of the whole that prepares each sample once."""
        return self._of(self.whole.remembering(cache))

    def differences(
        self, calibrator: str, samples: Sequence[Any], reference: Evaluated, found: Evaluated
    ) -> Differences | None:
        """As the whole's task."""
        return self.whole.differences(calibrator, samples, reference, found)

    def picture(self, raw: Any, sample: Any) -> tuple[str, bytes] | None:
        """As the whole's task."""
        return self.whole.picture(raw, sample)

    def describe(self, sample: Any, prediction: Any | None = None) -> Look | None:
        """As the whole's task."""
        return self.whole.describe(sample, prediction)

    def beside(self, files: Mapping[str, Path]) -> Self:
        """The same part beside other files of some of the others."""
        others = OtherParts(
            {**self.others.files, **files}, self.others.runtime, self.others.kept, self.others.outputs
        )
        return type(self)(self.whole, self.part, others)

    @property
    def instruments(self) -> Mapping[str, Path]:
        """As the whole's task."""
        return self.whole.instruments

    def equipped(self, tools: Callable[[], Mapping[str, Session]]) -> Self:
        """The same part of the whole with its instruments."""
        return self._of(self.whole.equipped(tools))

    def _of(self, whole: Task) -> Self:
        return type(self)(whole, self.part, self.others)
