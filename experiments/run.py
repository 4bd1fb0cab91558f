"""Reproduces tables and figures of the works.

    python -m experiments.run --list
    python -m experiments.run --artifact=mobilenets/figure_1 --scale=smoke --workdir=runs/works
    python -m experiments.run --artifact=all --scale=reduced --workdir=runs/works
    python -m experiments.run --artifact=mobilenets/table_1 --scale=long --jobs=2 --minutes=600 \
        --kinds=trainings --seeds=0 --only="DWS Conv *,Regular Conv *"

Trainings and analyses are kept in the workdir by what decides their results, digests of images,
networks and code among it: networks that several artifacts share are trained once, a run that was
killed goes on where it was cut, and nothing is computed twice. A changed analysis is done again; a
training only where its images, its network or its recipe changed.

Each artifact's files are in WORKDIR/artifacts/SCALE-seedN/GROUP/NAME: `rows.csv`,
`figure.svg`, `figure.png`, `artifact.json` (config, versions, seed, seconds), and `report.html`:
its networks' layers to click through. --publish=DIR copies all but the report and writes
DIR/README.md: published against obtained, and a verdict for every claim of the works.

CIFAR-10 comes from $TFQDYN_DATA_DIR/cifar10.npz or Keras' download; photographs for the ImageNet
artifacts from --imagenet_data, an .npz archive (x_test, y_test: 224x224x3 uint8, Keras' class
numbers) or a folder of class subfolders.

--only, --seeds and --kinds say what is done now, of all that the artifacts need: networks by name
or pattern, in this order; trainings by seed; jobs by kind (trainings, untrained, analyses, ...). An
artifact is made when all that it needs is done; with --partial, from what there is: networks that
are not done yet are named by their `status`.

Where there is a GPU, several trainings share it, each a process that takes the memory it needs:

    python -m experiments.run --artifact=mobilenets/table_1 --scale=paper --jobs=8 --minutes=20 \
        --kinds=trainings --seeds=0 --only="DWS Conv With Gamma *,Regular Conv With Gamma *"

finishes what it can in twenty minutes, and goes on when it is given again. --estimate says what the
trainings that are left take on this machine, measured by a few steps of each kind of network, and
does nothing else; where there are CPUs alone, --scale=paper says so before it begins.

--judge=DIR computes nothing: it judges the rows of a folder that was published before by the rules
of today, and draws its figures and writes its pages anew.

--executor=local does one job at a time in this process, with --jobs=N so many side by side, each in
a process of its own and of low priority; --minutes ends them after that time (exit status 75), and
the same command goes on. --executor=ray (pip install
"tfqdyn[distributed]") does as many side by side as their declared cores and accelerators fit,

    python -m experiments.run --artifact=all --scale=paper --executor=ray --workdir=/shared/works
    python -m experiments.run ... --executor=ray --ray_address=HOST:6379

on this machine, by a Ray that ends with the command, or on the running cluster of --ray_address
(as `ray.init` takes it; `ray start --head` starts one). All its nodes must share the workdir, the
data and the files named here, under the same paths, and have the packages of this machine; the code
is sent to them. A job whose worker dies is done again, from its last checkpoint. Either way results
are the same, bit for bit between CPUs of one kind: every process computes with one thread, whatever
the machine has, unless the environment says otherwise (`experiments/engine/threads.py`); on GPUs
TensorFlow promises that to nobody. An analysis under Ray runs on CPUs.

Ctrl-C stops either at once; the same command goes on from finished jobs and last checkpoints. What
a failed job raised is in its folder, `traceback.txt`.

The exit status is 1 if a job failed; all that did not need it is finished. Where stderr is not a
terminal, --verbosity=0 writes a line a job to it, and --verbosity=1 TensorFlow's messages too.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from absl import app, flags

from experiments.engine import accelerators, threads
from tfqdyn.console import print_tables, quiet_tensorflow

if TYPE_CHECKING:
    from experiments.engine.artifact import Artifact, Scope
    from experiments.engine.store import Job, Store

FLAGS = flags.FLAGS
EXECUTORS = ("local", "ray")
INTERRUPTED = 130
"""Exit status of a command that Ctrl-C ended, by the shells' convention."""
TIME_IS_UP = 75
"""Exit status of a command that is to be given again (EX_TEMPFAIL)."""


def define_flags() -> None:
    """Defines the command line; a function, so that importing this module defines nothing."""
    flags.DEFINE_string("artifact", "all", "GROUP/NAME, GROUP, or all.")
    flags.DEFINE_bool("list", False, "List the artifacts and stop.")
    flags.DEFINE_string("scale", "smoke", "How large: a name in experiments/engine/scales.py.")
    flags.DEFINE_string("workdir", "runs/works", "Folder of all results.")
    flags.DEFINE_integer("seed", 0, "Seed of training and calibration.", lower_bound=0)
    flags.DEFINE_enum("executor", "local", EXECUTORS, "One job at a time, or side by side by Ray.")
    flags.DEFINE_integer("jobs", None, "So many side by side, a process each.", lower_bound=1)
    flags.DEFINE_float("minutes", None, "End after so many; needs --jobs.", lower_bound=0.0)
    flags.DEFINE_list("only", [], "Networks that are worked on, by names or patterns.")
    flags.DEFINE_list("seeds", [], "Seeds of the trainings that are worked on.")
    flags.DEFINE_list("kinds", [], "Kinds of jobs that are done.")
    flags.DEFINE_string("ray_address", None, "Running Ray cluster; else a Ray of this machine.")
    flags.DEFINE_bool("estimate", False, "Say what the trainings that are left take, and stop.")
    flags.DEFINE_string("publish", None, "Folder for results beside the published ones.")
    flags.DEFINE_bool("partial", False, "Make artifacts of which something is done.")
    flags.DEFINE_string("judge", None, "Published folder whose rows are judged anew.")
    flags.DEFINE_string("imagenet_data", None, "Photographs with Keras' ImageNet class numbers.")
    flags.DEFINE_string("mobilenet_v1", None, "MobileNet-V1 trained on ImageNet; else a download.")
    flags.DEFINE_string("vgg19", None, "VGG-19 trained on ImageNet; else a download.")


def main(argv: Sequence[str]) -> None:
    """Runs the command line."""
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {' '.join(argv[1:])}.")
    if FLAGS.ray_address and FLAGS.executor != "ray":
        raise app.UsageError("--ray_address needs --executor=ray.")
    if FLAGS.jobs and FLAGS.executor != "local":
        raise app.UsageError("--jobs needs --executor=local: Ray finds out how many.")
    if FLAGS.minutes is not None and not FLAGS.jobs:
        raise app.UsageError("--minutes needs --jobs.")
    if bad := [seed for seed in FLAGS.seeds if not seed.isdecimal()]:
        raise app.UsageError(f"--seeds must be whole numbers from 0; not {', '.join(bad)}.")
    threads.fix()
    accelerators.share()
    from tfqdyn.distributed import cluster

    try:
        if FLAGS.executor == "ray":
            cluster.check_installed()
        work()
    except cluster.ClusterError as error:
        sys.exit(f"error: --executor=ray: {error}")
    except OSError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        print("stopped: what is done is kept, the same command goes on", file=sys.stderr)
        sys.exit(INTERRUPTED)


def work() -> None:
    """Finishes the jobs of the artifacts that the flags name, then makes and publishes these."""
    if FLAGS.verbosity < 1:
        quiet_tensorflow()
    from experiments import catalogue
    from experiments.engine import artifact, listing
    from experiments.engine.imagenet import ImageNet
    from experiments.engine.scales import scale_named
    from experiments.engine.store import Store

    try:
        scale = scale_named(FLAGS.scale)
        chosen = catalogue.chosen(FLAGS.artifact)
        named = (FLAGS.imagenet_data, FLAGS.mobilenet_v1, FLAGS.vgg19)
        imagenet = ImageNet(*(path and str(Path(path).absolute()) for path in named))
    except ValueError as error:
        sys.exit(f"error: {error}")
    if FLAGS.list:
        print_tables([listing.catalogue_table(chosen)])
        return
    if FLAGS.judge:
        judge(Path(FLAGS.judge))
        return
    scope = artifact.Scope(scale, FLAGS.seed, imagenet)
    produce(chosen, scope, Store(Path(FLAGS.workdir)))


def judge(folder: Path) -> None:
    """Judges a published folder by the rules of today."""
    from experiments import catalogue
    from experiments.engine import listing
    from experiments.evidence import publication

    try:
        verdicts = publication.write(catalogue.GROUPS, catalogue.CLAIMS, folder, draw=True)
    except ValueError as error:
        sys.exit(f"error: --judge: {error}")
    print_tables([listing.claims_table(verdicts)], [f"Judged anew: {folder}"])


def produce(chosen: "Sequence[Artifact]", scope: "Scope", store: "Store") -> None:
    """Finishes the jobs of artifacts, then makes and publishes these."""
    from experiments import catalogue
    from experiments.engine import execution, listing, processes, ray_execution
    from experiments.engine.selection import Selection
    from experiments.evidence import publication
    from tfqdyn.files.wholefiles import claimed

    meant = Selection(tuple(FLAGS.only), tuple(map(int, FLAGS.seeds)), tuple(FLAGS.kinds))
    failed = late = None
    try:
        jobs = execution.ordered([job for one in chosen for job in one.jobs(scope)])
        if meant != Selection():
            jobs = meant.of(jobs, scope)
    except ValueError as error:  # what keys are made of is not to be had, or nothing was meant
        sys.exit(f"error: {error}")
    try:
        told = sys.stderr.isatty() or FLAGS.verbosity >= 0
        report = execution.to_stderr if told else lambda line: None
        local = FLAGS.executor == "local"
        if FLAGS.estimate or (local and told and scope.scale.name == "paper"):
            estimate_trainings(execution.unfinished(jobs, store))
        if FLAGS.estimate:
            return
        if FLAGS.executor == "ray":
            ray_execution.run_on_ray(jobs, store, FLAGS.ray_address, report)
        elif FLAGS.jobs:
            processes.run_in_processes(jobs, store, FLAGS.jobs, FLAGS.minutes, report)
        else:
            execution.run_locally(jobs, store, report)
    except execution.JobsFailedError as error:
        failed = error
    except processes.TimeIsUpError as error:
        late = error
    with claimed(store.root / "artifacts", wait=True):
        make(chosen, scope, store)
    if FLAGS.publish:
        to, claims = Path(FLAGS.publish), catalogue.CLAIMS
        verdicts = publication.publish(catalogue.GROUPS, claims, scope, store.root, to)
        print_tables([listing.claims_table(verdicts)], [f"Published against obtained: {to}"])
    if failed:
        sys.exit(f"error: {failed}")
    if late:
        print(f"stopped: {late}; what is done is kept, the same command goes on", file=sys.stderr)
        sys.exit(TIME_IS_UP)


def estimate_trainings(jobs: "Sequence[Job]") -> None:
    """Says what the trainings among the jobs take on this machine; on GPUs, only if so asked."""
    from experiments.engine import estimate, listing

    devices = accelerators.count()
    if devices and not FLAGS.estimate:
        return
    found = estimate.costs(jobs)
    if FLAGS.estimate:
        print_tables([listing.costs_table(found)])
    print(estimate.told(found, FLAGS.jobs or 1, devices), file=sys.stderr)


def make(chosen: "Sequence[Artifact]", scope: "Scope", store: "Store") -> None:
    """Makes the artifacts whose jobs are all done, in part if so asked, and prints tables."""
    from experiments.engine import artifact, listing

    for one in chosen:
        done = [store.done(job) for job in one.jobs(scope)]
        if all(done) or (FLAGS.partial and any(done)):
            rows = artifact.make(one, scope, store)
            folder = artifact.folder_of(one.name, scope, store.root)
            print_tables([listing.rows_table(one, rows)] if one.draw is None else [])
            print(f"{one.name}: {folder}")


if __name__ == "__main__":
    define_flags()
    app.run(main)
