"""Which jobs of a scale are done now, and in what order."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from experiments.engine.artifact import Scope
from experiments.engine.execution import ordered
from experiments.engine.initial import Initial
from experiments.engine.jobs import Training, Untrained, initial_of
from experiments.engine.networks import ABLATION, FACTORIZED, STAGED, WEIGHT_INIT
from experiments.engine.store import Job

NETWORKS = tuple(dict.fromkeys((*ABLATION, *WEIGHT_INIT, *FACTORIZED, *STAGED)))
"""All networks of the works that are trained."""


@dataclass(frozen=True)
class Selection:
    """A part of the jobs; what they need is done with them.

    Attributes:
        networks: names or patterns ("DWS Conv * HeNorm"), in the order in which they are done;
            none for all jobs, also those of no network that is trained.
        seeds: of trainings; none for all.
        kinds: of jobs (`Job.KIND`); none for all.
    """

    networks: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    kinds: tuple[str, ...] = ()

    def of(self, jobs: Sequence[Job], scope: Scope) -> tuple[Job, ...]:
        """The jobs that are meant, first seeds first.

        Raises:
            ValueError: a pattern names no network, or nothing is left.
        """
        ranks = self._ranks(scope)
        found: list[tuple[tuple[int, int], Job]] = []
        for job in ordered(jobs):
            initial = _initial(job)
            if self.kinds and job.KIND not in self.kinds:
                continue
            if self.seeds and (initial is None or initial.seed not in self.seeds):
                continue
            if self.networks and initial not in ranks:
                continue
            seed = scope.seed if initial is None else initial.seed
            found.append(((seed, 0 if initial is None else ranks.get(initial, 0)), job))
        if not found:
            kinds = ", ".join(dict.fromkeys(job.KIND for job in ordered(jobs)))
            seeds = sorted({one.seed for job in ordered(jobs) if (one := _initial(job))})
            raise ValueError(
                f"no job is meant by {self}; there are jobs of the kinds {kinds or 'none'} and "
                f"trainings of the seeds {seeds}"
            )
        return tuple(job for _, job in sorted(found, key=lambda pair: pair[0]))

    def _ranks(self, scope: Scope) -> dict[Initial, int]:
        """The place of each network that is meant among the patterns, with every seed."""
        ranks: dict[Initial, int] = {}
        for place, pattern in enumerate(self.networks):
            matching = [network for network in NETWORKS if fnmatchcase(network.name, pattern)]
            if not matching:
                names = "; ".join(network.name for network in NETWORKS)
                raise ValueError(f"no network is called {pattern!r}; the networks are {names}")
            for network in matching:
                for seed in scope.seeds(network):
                    ranks.setdefault(initial_of(network, scope.scale, seed), place)
        return ranks


def _initial(job: Job) -> Initial | None:
    """The network that a job trains or looks at, if it is one of ours."""
    if isinstance(job, Training | Untrained):
        return job.initial
    return next((one for needed in job.needs if (one := _initial(needed))), None)
