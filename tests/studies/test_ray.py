"""Ray itself: two workers on loopback, with GPUs that are only declared."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from deadly import Deadly
from test_run import toy_study
from test_shared_out import assert_same_bits, figures, studied
from toy import toy_model, toy_samples

from calibrant.calibrators import calibrators_named
from calibrant.core.errors import DataError, RuntimeFailedError, SettingsError
from calibrant.core.executor import Executor, completed
from calibrant.core.progress import Silent
from calibrant.executors import executor_named
from calibrant.studies.run import run_study
from executor_works import Buggy, Dying, OnGpu, Refusing, Slow, Squaring

ray = pytest.importorskip("ray", reason="Ray is not installed, or has no package for this Python")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Ray on Windows is not what we support")
STORE_BYTES = 80 * 2**20


def started() -> None:
    """Start Ray; a busy machine may take longer than the half minute that Ray waits for itself."""
    for is_last in (False, False, True):
        try:
            ray.init(
                num_cpus=2,
                num_gpus=2,
                object_store_memory=STORE_BYTES,
                include_dashboard=False,
                log_to_driver=False,
                configure_logging=False,
            )
            return
        except Exception:
            ray.shutdown()
            if is_last:
                raise


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Executor]:
    """Two cores and two GPUs, as far as Ray knows."""
    paths = [path for path in (*sys.path, str(Path(__file__).parents[1])) if path]
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patched.setenv("PYTHONPATH", os.pathsep.join(paths))  # which Ray's workers inherit
        patched.setenv("CALIBRANT_CACHE", str(tmp_path_factory.mktemp("cache")))
        started()
        try:
            with executor_named("ray") as executor:
                yield executor
        finally:
            ray.shutdown()


def test_work_is_done_wherever_there_is_room(workers: Executor) -> None:
    assert (workers.slots(), workers.slots(1), workers.slots(2)) == (2, 2, 1)
    assert dict(completed(workers, [Squaring(n) for n in range(9)])) == {n: n * n for n in range(9)}


def test_errors_travel_in_our_words(workers: Executor) -> None:
    with pytest.raises(DataError, match=r"^image 7 is torn; copy it again$"):
        workers.submit(Refusing()).result()
    with pytest.raises(ZeroDivisionError, match="our own bug"):
        workers.submit(Buggy()).result()


def test_a_study_on_ray_is_that_of_one_process(workers: Executor, tmp_path: Path) -> None:
    alone = studied(tmp_path / "alone", None)
    shared = studied(tmp_path / "shared", workers)
    assert figures(shared) == figures(alone)
    assert_same_bits(tmp_path / "alone", tmp_path / "shared")


@pytest.mark.parametrize("sample", ["2-12", "1-33"])
def test_a_worker_killed_half_way_changes_nothing(workers: Executor, tmp_path: Path, sample: str) -> None:
    """Once while it collects, once while it predicts."""
    results = []
    for name, executor in (("alone", None), ("shared", workers)):
        (tmp_path / name / "out").mkdir(parents=True)
        study = toy_study(tmp_path / name, calibrators_named("minmax,mse"), toy_samples(20, seed=2))
        if executor is not None:
            kernel = toy_model(tmp_path / "again.onnx")
            study = replace(study, task=Deadly(kernel, sample, tmp_path / "killed"))
        results.append(figures(run_study(study, tmp_path / name / "out", Silent(), None, executor)))
    assert (tmp_path / "killed").exists()
    assert results[0] == results[1]
    assert_same_bits(tmp_path / "alone", tmp_path / "shared")


def test_work_that_kills_every_worker_says_so(workers: Executor, tmp_path: Path) -> None:
    with pytest.raises(RuntimeFailedError, match="4 worker processes died of the same piece of work"):
        workers.submit(Dying(str(tmp_path), times=99)).result()
    assert len(list(tmp_path.iterdir())) == 4


def test_a_straggler_holds_little(workers: Executor, tmp_path: Path) -> None:
    works = [Slow(str(tmp_path), number, seconds=1.0) for number in range(30)]
    done = Counter(pid for _, pid in completed(workers, works))
    assert sum(done.values()) == 30
    assert done[int((tmp_path / "straggler").read_text())] <= 8


def test_one_gpu_has_one_piece_of_work_at_a_time(workers: Executor) -> None:
    found = [result for _, result in completed(workers, [OnGpu(0.2) for _ in range(4)])]
    assert {gpu for gpu, _, _ in found} <= {"0", "1"}
    for gpu in ("0", "1"):
        spans = sorted((begun, end) for had, begun, end in found if had == gpu)
        assert all(end <= begun for (_, end), (begun, _) in pairwise(spans))


def test_more_gpus_than_there_are_is_one_line(workers: Executor) -> None:
    with pytest.raises(SettingsError, match=r"has 2 GPUs, and this runtime needs 3; start a node"):
        workers.submit(OnGpu(0, gpus=3))


def test_another_process_reaches_the_cluster_by_its_address(workers: Executor) -> None:
    address = ray.get_runtime_context().gcs_address
    code = (
        "from calibrant.executors import executor_named\nfrom executor_works import Squaring\n"
        f"with executor_named('ray:{address}') as workers: print(workers.submit(Squaring(7)).result())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.stdout.strip() == "49", run.stderr


def test_an_address_where_nobody_listens_is_one_line() -> None:
    code = "from calibrant.executors import executor_named; executor_named('ray:127.0.0.1:1')"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "SettingsError: the Ray cluster at 127.0.0.1:1 cannot be reached" in run.stderr.splitlines()[-1]
