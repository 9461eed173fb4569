"""Replay racing on what studies recorded of every image: how often is the winner dropped, and what is saved?

    calibrant study model.onnx ... --no-race --out runs/a
    python benchmarks/replay_race.py runs/a runs/b ... --replays 100

Each replay runs the images of one run in a new random order; every second one draws a new test set from
them, with replacement, first. The winner is the candidate with the best mAP on all images of the replay;
tied are those whose 95 % interval cannot tell them from it.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibrant.stages.race import Race, looks
from calibrant.stages.recommend import PairedBootstrap, ScoredCandidate
from calibrant.studies.runs import load_run
from calibrant.tasks.detection import MatchTable


@dataclass
class Drawn:
    """A candidate's evidence on drawn images; every set of weights is worked out once."""

    table: MatchTable
    known: dict[int, NDArray[np.float64]] = field(default_factory=dict)

    def resample(self, weights: NDArray[np.int64]) -> NDArray[np.float64]:
        if len(weights) not in self.known:
            self.known[len(weights)] = self.table.resample(weights)
        return self.known[len(weights)]


@dataclass(frozen=True)
class Replay:
    """What came of one race: which images each candidate was stopped after, and who should have won."""

    winner: int
    tied: frozenset[int]
    stopped: Mapping[int, int]
    cost: float


def drawn(table: MatchTable, draws: NDArray[np.int64]) -> MatchTable:
    """The evidence as if the test set consisted of these images, in this order."""
    classes = np.repeat(np.arange(len(table.starts) - 1), np.diff(table.starts))
    rows, image = _of_draws(table.image, draws)
    truths, truth_image = _of_draws(table.truth_image, draws)
    order = np.lexsort((image, -table.scores[rows], classes[rows]))
    rows = rows[order]
    return replace(
        table,
        images=len(draws),
        starts=np.searchsorted(classes[rows], np.arange(len(table.starts))).astype(np.int64),
        scores=table.scores[rows],
        image=image[order].astype(np.int32),
        matched=table.matched[rows],
        ignored=table.ignored[rows],
        truth_image=truth_image.astype(np.int32),
        truth_class=table.truth_class[truths],
    )


def _of_draws(
    image: NDArray[np.int32], draws: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each draw the rows of its image, and the draw's number."""
    rows = [np.flatnonzero(image == position) for position in range(int(max(draws.max(), 0)) + 1)]
    found = [rows[position] for position in draws]
    return np.concatenate(found), np.repeat(np.arange(len(draws)), [len(each) for each in found])


def replayed(tables: Sequence[MatchTable], draws: NDArray[np.int64], error: float, seed: int) -> Replay:
    """One race, as studies.racing runs it."""
    count = len(draws)
    race = Race(len(tables), count, error, seed)
    at = {n: [Drawn(drawn(table, draws[:n])) for table in tables] for n in (*looks(count), count)}
    once = np.ones((1, count), np.int64)
    final = [float(evidence.table.resample(once)[0]) for evidence in at[count]]
    first = looks(count)[0]
    ahead = [float(evidence.table.resample(np.ones((1, first), np.int64))[0]) for evidence in at[first]]
    leader, *others = sorted(range(len(tables)), key=lambda index: -ahead[index])
    stopped, run = {}, count
    for index in others:
        beaten = (n for n in looks(count) if race.lead(at[n][leader], at[n][index], n).is_significant)
        if (n := next(beaten, None)) is not None:
            stopped[index] = n
        elif final[index] > final[leader]:
            leader = index
        run += n or count
    winner = int(np.argmax(final))
    return Replay(winner, _tied(at[count], final, winner, seed), stopped, run / count)


def _tied(evidence: Sequence[Drawn], final: Sequence[float], winner: int, seed: int) -> frozenset[int]:
    bootstrap = PairedBootstrap(evidence[0].table.images, seed, resamples=400)
    candidates = [ScoredCandidate(str(i), 0, final[i], each.table) for i, each in enumerate(evidence)]
    drops = {i: bootstrap.drop(candidates[winner], c) for i, c in enumerate(candidates) if i != winner}
    return frozenset(i for i, drop in drops.items() if not drop.is_real)


def distinct_tables(folder: Path) -> dict[str, MatchTable]:
    run = load_run(folder)
    found = {}
    for trial in run.content["trials"]:
        evidence = run.evidence(trial["calibrator"]) if not trial["same_as"] else None
        if isinstance(evidence, MatchTable):
            found[trial["calibrator"]] = evidence
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--replays", type=int, default=100)
    parser.add_argument("--error", type=float, default=0.01)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    totals: Counter[str] = Counter()
    for folder in given.runs:
        named = distinct_tables(folder)
        tables, rng = list(named.values()), np.random.default_rng(given.seed)
        images, found = tables[0].images, []
        for number in range(given.replays):
            draws = rng.integers(0, images, images) if number % 2 else rng.permutation(images)
            found.append(replayed(tables, draws, given.error, number))
        lost = sum(one.winner in one.stopped for one in found)
        tied = sum(len(one.tied) for one in found)
        tied_lost = sum(len(one.tied & one.stopped.keys()) for one in found)
        totals.update(replays=len(found), lost=lost, tied=tied, tied_lost=tied_lost)
        cost = float(np.mean([one.cost for one in found]))
        print(
            f"{folder.name:28} {len(found)} replays: winner dropped {lost}; tied with it {tied}, of these "
            f"dropped {tied_lost}; evaluations {cost:.2f} of {len(tables)}",
            flush=True,
        )
    print(
        f"winner dropped {totals['lost']} of {totals['replays']} ({totals['lost'] / totals['replays']:.2%}), "
        f"a tied candidate {totals['tied_lost']} of {totals['tied']}"
    )


if __name__ == "__main__":
    main()
