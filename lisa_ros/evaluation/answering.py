"""A whole run: every case of a benchmark answered once, what an earlier run has answered left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tqdm import tqdm

from lisa_ros.evaluation.benchmark import score
from lisa_ros.evaluation.cases import Benchmark, Case, EvaluationError, Skip
from lisa_ros.evaluation.outcomes import Outcome, Rows
from lisa_ros.evaluation.systems import System


@dataclass(slots=True)
class Answered:
    """What a run came to: ``cases`` and ``found`` by id; ``resumed`` is how many outcomes an earlier run had found."""

    cases: dict[str, Case] = field(default_factory=dict)
    found: dict[str, Outcome] = field(default_factory=dict)
    skipped: list[Skip] = field(default_factory=list)
    resumed: int = 0

    @property
    def outcomes(self) -> list[Outcome]:
        """All outcomes in the order of their cases, whichever run found them."""
        return [self.found[id] for id in self.cases if id in self.found]


def answer_all(benchmark: Benchmark, system: System, rows: Rows) -> Answered:
    """Answer what is not in ``rows`` yet and append it there; shows a progress bar."""
    answered = Answered()
    with tqdm(benchmark.cases, total=benchmark.total, unit="request", mininterval=2) as cases:
        for result in score(_unanswered(cases, rows, answered), system.reply):
            if isinstance(result, Skip):
                answered.skipped.append(result)
            else:
                answered.found[result.id] = result
                rows.append(result)
    return answered


def _unanswered(cases: Iterable[Case | Skip], rows: Rows, answered: Answered) -> Iterator[Case | Skip]:
    """Yield what is still to be done and enter the rest as answered."""
    for case in cases:
        if isinstance(case, Skip):
            yield case
            continue
        answered.cases[case.id] = case
        done = rows.done.get(case.id)
        if done is None:
            yield case
        elif done.request != case.request:
            raise EvaluationError(f"{rows.path} holds {case.id} with another request; name another file.")
        else:
            answered.found[case.id] = done
            answered.resumed += 1
