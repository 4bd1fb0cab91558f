"""Predicates of the thesis' claims about trained networks (4.5, 4.7): rows in, judgements out."""

import math
from collections.abc import Callable, Mapping
from statistics import fmean, median
from typing import Any

from scipy import stats

from experiments.evidence.claims import Judgement, Rows
from experiments.evidence.ranktests import FEWEST, LEVEL, above_zero, greater, spearman
from experiments.evidence.standing import extreme, lived
from experiments.mobilenets.judging import conclusion
from experiments.weight_init.selection import DISCUSSED, DYING, LIVING

TABLE = "weight_init/table_4_2"
VANISHING, RANGES, FOLDED, ACTIVATIONS = (f"weight_init/figure_4_{n}" for n in (2, 3, 4, 5))
BEST, HE_NORM, HE_UNI, _ = (network.name for network in DISCUSSED)
HE = (HE_NORM, HE_UNI)
STRATEGIES = 12
Found = Mapping[str, Rows]


def group(found: Found, family: str, batch_norm: str) -> list[Any]:
    """The rows of Table 4.2 of one architecture."""
    rows = found[TABLE]
    return [row for row in rows if (row["family"], row["batch_norm"]) == (family, batch_norm)]


def costs(found: Found, family: str, column: str = "percent_decrease") -> list[float]:
    """What batch norm adds to a column, for each initialization that trains with and without."""
    without = {row["initializer"]: row for row in lived(group(found, family, "No BN"))}
    return [
        row[column] - without[row["initializer"]][column]
        for row in lived(group(found, family, "With BN"))
        if row["initializer"] in without
    ]


def batch_norm_costs(found: Found) -> Judgement:
    """Holds if the median cost over pairs is above 0, by Wilcoxon's test."""
    pairs = [*costs(found, "DWS"), *costs(found, "Regular")]
    test = above_zero(pairs)
    worse = sum(pair > 0 for pair in pairs)
    effect = f"{worse} of {len(pairs)} pairs lose more with batch norm; median points {test}"
    return conclusion(bool(pairs) and median(pairs) > 0, test, effect)


def batch_norm_costs_depthwise_more(found: Found) -> Judgement:
    """Holds if the median cost of DWS-ConvNets exceeds that of Regular-ConvNets (Mann-Whitney)."""
    depthwise, regular = costs(found, "DWS"), costs(found, "Regular")
    if min(len(depthwise), len(regular)) < FEWEST:
        return Judgement(None, "", f"only {len(depthwise)} and {len(regular)} pairs train")
    test = greater(depthwise, regular)
    effect = (
        f"median points {median(depthwise):.3g} depthwise, {median(regular):.3g} regular; "
        f"pairs above {test}"
    )
    return conclusion(median(depthwise) > median(regular), test, effect)


def standing(family: str, batch_norm: str, *names: str, largest: bool) -> Callable[..., Judgement]:
    """Whether the named networks lose most, or least, accuracy of an architecture's."""

    def judge(found: Found) -> Judgement:
        rows = group(found, family, batch_norm)
        judged = extreme(rows, names, largest=largest)
        if judged.holds is None:
            return judged
        output = extreme(rows, names, largest=largest, column="qmse")
        return Judgement(judged.holds, f"{judged.effect}; by {output.effect}", judged.note)

    return judge


def survivors(family: str) -> Callable[[Found], Judgement]:
    """Whether, without batch norm, those initializations train that trained in the thesis."""

    def judge(found: Found) -> Judgement:
        rows = group(found, family, "No BN")
        if len(rows) < STRATEGIES:
            return Judgement(None, "", f"{len(rows)} of {STRATEGIES} initializations trained here")
        ours, theirs = (
            {row["initializer"] for row in rows if row[column] == "finished"}
            for column in ("status", "published_status")
        )
        both, none = len(ours & theirs), STRATEGIES - len(ours | theirs)
        table = [[both, len(ours - theirs)], [len(theirs - ours), none]]
        found_by_chance: Any = stats.fisher_exact(table, alternative="greater")
        effect = (
            f"train here {_listed(ours)}; published {_listed(theirs)}; alike {both + none} of "
            f"{STRATEGIES}, Fisher's exact p = {found_by_chance.pvalue:.2g}"
        )
        return Judgement(ours == theirs, effect)

    return judge


def all_train_with_batch_norm(found: Found) -> Judgement:
    """Holds if none of the 24 networks with batch norm fails."""
    rows = [*group(found, "DWS", "With BN"), *group(found, "Regular", "With BN")]
    if len(rows) < 2 * STRATEGIES:
        return Judgement(None, "", f"{len(rows)} of {2 * STRATEGIES} networks trained here")
    failed = [f"{row['network']} ({row['status']})" for row in rows if row["status"] != "finished"]
    effect = f"{len(rows) - len(failed)} of {len(rows)} train; failed: {_listed(failed)}"
    return Judgement(not failed, effect)


def initialization_decides(found: Found) -> Judgement:
    """Holds if initializations spread the decrease more than draws do, in every architecture.

    One-way analysis of variance from means and deviations, p <= 0.05, in each of the architectures
    of which at least three networks train.
    """
    told: list[str] = []
    ps: list[float] = []
    for family in ("DWS", "Regular"):
        for batch_norm in ("No BN", "With BN"):
            rows = lived(group(found, family, batch_norm))
            if len(rows) < FEWEST or any(row["percent_decrease_std"] is None for row in rows):
                continue
            draws = rows[0]["draws"]
            within = fmean(row["percent_decrease_std"] ** 2 for row in rows)
            centre = fmean(row["percent_decrease"] for row in rows)
            between = sum((row["percent_decrease"] - centre) ** 2 for row in rows)
            between *= draws / (len(rows) - 1)
            ratio = between / within if within else math.inf
            degrees = (len(rows) - 1, len(rows) * (draws - 1))
            ps.append(float(stats.f.sf(ratio, *degrees)))
            told.append(f"{family} {batch_norm} F{degrees} = {ratio:.3g}, p = {ps[-1]:.2g}")
    if not ps:
        return Judgement(None, "", "fewer than three networks train in each architecture")
    note = "one training a network: seeds of training may spread it as much as initializations"
    return Judgement(max(ps) <= LEVEL, "; ".join(told), note)


def vanishing(found: Found) -> Judgement:
    """Holds if the dying network's convolutions have ranges that fall with depth to below living.

    Rank correlation of activation range and layer number below 0 with p <= 0.05, and the last
    convolution's range below every one of the living network's. Not tested unless the latter
    trains and the former does not.
    """
    status = {row["network"]: row["status"] for row in found[TABLE]}
    if status.get(LIVING.name) != "finished" or status.get(DYING.name) in (None, "finished"):
        told = ", ".join(f"{n.name} {status.get(n.name, 'not trained')}" for n in (DYING, LIVING))
        return Judgement(None, "", f"needs one network that dies and one that trains: {told}")
    dying, living = (
        [
            row["activation_range"]
            for row in convolutions(found[VANISHING])
            if row["network"] == name
        ]
        for name in (DYING.name, LIVING.name)
    )
    if not dying:
        return Judgement(None, "", f"{DYING.name} diverged and has no figures")
    test = spearman(range(len(dying)), dying)
    effect = (
        f"{DYING.name} from {dying[0]:.3g} to {dying[-1]:.3g}, correlation with depth {test}; "
        f"{LIVING.name} not below {min(living):.3g}"
    )
    so = test.figure is not None and test.figure < 0 and dying[-1] < min(living)
    return conclusion(so, test, effect)


def weights_range_is_not_all(found: Found) -> Judgement:
    """Holds if RandUni_Large has larger weights ranges than the others, and loses least of them.

    Its range in each convolution against the mean of the others, Wilcoxon's test.
    """
    names = {network.name for network in DISCUSSED}
    rows = [row for row in found[TABLE] if row["network"] in names]
    best = extreme(rows, [BEST], largest=False)
    if best.holds is None:
        return best
    ranges: dict[int, dict[str, float]] = {}
    for row in convolutions(found[RANGES]):
        ranges.setdefault(row["number"], {})[row["network"]] = row["weight_range"]
    differences = [
        of.pop(BEST) - fmean(of.values()) for of in map(dict, ranges.values()) if len(of) > 1
    ]
    test = above_zero(differences)
    effect = f"median of range above the others' {test}; {best.effect}"
    return conclusion(best.holds and median(differences) > 0, test, effect, best.note)


def layer_2(found: Found, artifact: str, column: str) -> dict[str, tuple[float, float, float]]:
    """A column in the first three layers by network that trained, of those in the artifact."""
    trained = {row["network"] for row in lived(found[TABLE])}
    values: dict[str, dict[int, float]] = {}
    for row in found[artifact]:
        if row["network"] in trained:
            values.setdefault(row["network"], {})[row["number"]] = row[column]
    return {name: (of[1], of[2], of[3]) for name, of in values.items()}


def folded_range_at_layer_2(found: Found) -> Judgement:
    """Holds if both He networks peak at layer 2, above layers 1 and 3, and the best one falls."""
    values = layer_2(found, FOLDED, "folded_range")
    if missing := {BEST, *HE} - values.keys():
        return Judgement(None, "", f"not trained here: {_listed(missing)}")
    peaks = all(second > max(first, third) for first, second, third in map(values.__getitem__, HE))
    falls = values[BEST][1] < values[BEST][0]
    return Judgement(peaks and falls, _steps("folded range in layers 1, 2, 3", values))


def folded_precision_at_layer_2(found: Found) -> Judgement:
    """Holds if the best network's average precision rises from layer 1 to 2, all others' fall."""
    values = layer_2(found, FOLDED, "folded_precision")
    if BEST not in values or len(values) < FEWEST:
        return Judgement(None, "", f"needs {BEST} and two others")
    so = all((of[1] > of[0]) == (name == BEST) for name, of in values.items())
    return Judgement(so, _steps("folded average precision in layers 1, 2, 3", values))


def activations_at_layer_2(found: Found) -> Judgement:
    """Holds if all ranges rise and precisions fall from layer 1 to 2, the best network's least."""
    ranges = layer_2(found, ACTIVATIONS, "activation_range")
    precisions = layer_2(found, ACTIVATIONS, "activation_precision")
    if BEST not in ranges or len(ranges) < FEWEST:
        return Judgement(None, "", f"needs {BEST} and two others")
    drops = {name: of[0] - of[1] for name, of in precisions.items()}
    least = all(drops[BEST] < drop for name, drop in drops.items() if name != BEST)
    so = all(of[1] > of[0] for of in ranges.values()) and min(drops.values()) > 0 and least
    told = _steps("activations' range in layers 1, 2, 3", ranges)
    return Judgement(so, f"{told}; {_steps('average precision', precisions)}")


def convolutions(rows: Rows) -> list[Any]:
    """The rows of layers that are not dense."""
    return [row for row in rows if row["kind"] != "dense"]


def _steps(what: str, values: Mapping[str, tuple[float, ...]]) -> str:
    told = (f"{name} " + ", ".join(f"{v:.3g}" for v in of) for name, of in values.items())
    return f"{what}: {'; '.join(told)}"


def _listed(names: Any) -> str:
    return ", ".join(sorted(names)) or "none"
