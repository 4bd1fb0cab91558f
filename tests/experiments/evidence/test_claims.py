"""The works' own tables show the published effects; effects of layers by hand."""

from collections.abc import Mapping
from typing import Any

import pytest

from experiments import catalogue
from experiments.engine.imagenet import SHOWN
from experiments.engine.networks import ABLATION, STAGED, WEIGHT_INIT
from experiments.engine.scales import CHECKPOINTS
from experiments.evidence.claims import Claim
from experiments.evidence.effects import SEEDS, Estimate
from experiments.evidence.readings import fluctuation, margins
from experiments.evidence.verdicts import FAILS, HOLDS, UNDECIDED, Verdict, judged
from experiments.factorizenet.spectrum import SPECTRUM
from experiments.mobilenets import table_1, table_2
from experiments.quantization_friendly.retrained import PUBLISHED as STAGES
from experiments.weight_init import table_4_2, table_4_3, table_4_4, training_claims

CLAIMS: Mapping[str, Claim] = {claim.name: claim for claim in catalogue.CLAIMS}
Rows = list[dict[str, Any]]
CERTAIN = 1.959963984540054
REAL, VGG = SHOWN["mobilenet_v1"], SHOWN["vgg19"]


def lost(points: float, error: float = 0.01) -> dict[str, float]:
    """The columns of a loss that is known to so many points."""
    half = CERTAIN * error
    return {"loss": points, "loss_low": points - half, "loss_high": points + half}


def ablation() -> Rows:
    """Yun & Wong's table as if it were ours, trained from two seeds that do not matter."""
    rows = []
    for network in ABLATION:
        theirs = table_1.published(network.name)
        row = {name.removeprefix("published_"): value for name, value in theirs.items()}
        points = float(row["fp32_accuracy"] or 0) - float(row["uint8_accuracy"] or 0)
        row |= {**table_1.traits(network), **lost(points), "status": "finished", "draws": 5}
        rows += [{"network": network.name, "seed": seed, **row} for seed in (0, 1)]
    return rows


def initializations() -> Rows:
    """Thesis Table 4.2 as if it were ours; of one network there is another seed, 0.1 off."""
    rows: Rows = []
    for network in WEIGHT_INIT:
        theirs = table_4_2.published(network)
        row = {"network": network.name, "seed": 0, "status": theirs["published_status"]}
        row |= table_4_2.traits(network) | theirs
        if theirs["published_status"] == "finished":
            fp32, uint8 = (float(theirs[f"published_{n}_accuracy"] or 0) for n in ("fp32", "uint8"))
            row |= {"fp32_accuracy": fp32, "uint8_accuracy": uint8, **lost(fp32 - uint8)}
        rows.append(row)
    first = next(row for row in rows if "loss" in row)
    rows.append({**first, "seed": 1, **lost(first["loss"] + 0.1)})
    return rows


def checkpoints() -> dict[str, Rows]:
    """Thesis Tables 4.3 and 4.4 as if they were ours."""
    course = [
        {"network": name, "published_epoch": epoch, "status": "finished", "draws": 5}
        | lost(fp32 - uint8)
        | {"qmse": qmse, "qmse_std": 0.01 * qmse}
        for name, epochs in table_4_3.PUBLISHED.items()
        for epoch, (fp32, uint8, _), (qmse,) in zip(
            CHECKPOINTS, epochs, table_4_4.PUBLISHED[name], strict=True
        )
    ]
    return {"weight_init/table_4_3": course, "weight_init/table_4_4": course}


def of_imagenet() -> Rows:
    """Yun & Wong's second table as if it were ours."""
    rows: Rows = []
    for name in (REAL, VGG):
        theirs = table_2.published(name)
        row = {key.removeprefix("published_"): value for key, value in theirs.items()}
        row |= {"network": name, "status": "analyzed", "draws": 3}
        rows.append(row | lost(row["fp32_accuracy"] - row["uint8_accuracy"]))
    return rows


def stages() -> Rows:
    """Sheng et al.'s table as if it were ours, from two seeds 0.01 apart."""
    return [
        {"network": network.name, "seed": seed, "status": "finished", "uint8_accuracy": uint8}
        | lost(fp32 - uint8 + 0.01 * seed)
        for network in STAGED
        for fp32, uint8 in [STAGES[network.name]]
        for seed in (0, 1)
    ]


FOUND: Mapping[str, Rows] = {
    "mobilenets/table_1": ablation(),
    "mobilenets/table_2": of_imagenet(),
    "weight_init/table_4_2": initializations(),
    "quantization_friendly/retrained": stages(),
    **checkpoints(),
}
PUBLISHED = [
    name
    for name, claim in CLAIMS.items()
    if claim.published and set(claim.read) <= set(FOUND) and not name.endswith("_moves")
]


def estimate(one: Verdict) -> Estimate:
    assert isinstance(one.effect, Estimate), one.effect
    return one.effect


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_works_own_tables_show_the_published_effects(name: str):
    found = judged(CLAIMS[name], FOUND.get)
    assert estimate(found).value == pytest.approx(CLAIMS[name].claimed, abs=0.02)
    assert found.verdict != FAILS


def test_there_are_published_effects_to_show():
    assert len(PUBLISHED) >= 20


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("mobilenets/depthwise_lose_more", HOLDS),
        ("mobilenets/resnet_like_regular", HOLDS),
        ("weight_init/depthwise_lose_more", HOLDS),
        ("weight_init/he_worst", HOLDS),
        ("weight_init/randuni_large_best", HOLDS),
        ("weight_init/modglorot_med_worst", HOLDS),
        ("weight_init/initialization_decides", HOLDS),
        ("weight_init/batch_norm_costs_accuracy", UNDECIDED),  # eight pairs of one seed each
        ("weight_init/worst_known_by_75", HOLDS),
        ("weight_init/two_worst_known_by_75", HOLDS),
        ("mobilenets/imagenet_collapse", HOLDS),
        ("mobilenets/imagenet_loss_above_vgg", HOLDS),
        ("quantization_friendly/depthwise_batch_norm", HOLDS),
        ("quantization_friendly/close_to_float", HOLDS),
    ],
)
def test_verdicts_of_the_published_tables(name: str, verdict: str):
    assert judged(CLAIMS[name], FOUND.get).verdict == verdict


def test_the_headline_is_a_difference_of_signed_losses():
    # MobileNets 12.71, 6.85, 12.54, 12.59; DWS 13.59, 9.70, 9.44, 32.74; Regular 8.98, 3.31, 7.75,
    # 5.43
    found = estimate(judged(CLAIMS["mobilenets/depthwise_lose_more"], FOUND.get))
    assert found.value == pytest.approx(110.16 / 8 - 25.47 / 4)
    assert found.number == 12


def test_gains_are_no_losses():
    rows = [{**row, **lost(-row["loss"])} for row in FOUND["mobilenets/table_1"]]
    found = judged(CLAIMS["mobilenets/depthwise_lose_more"], {"mobilenets/table_1": rows}.get)
    assert found.verdict == FAILS
    assert estimate(found).value < 0


def test_another_seed_that_moves_as_much_leaves_places_open():
    rows = [dict(row) for row in FOUND["weight_init/table_4_2"]]
    rows[-1] |= lost(rows[-1]["loss"] + 8)
    found = judged(CLAIMS["weight_init/he_worst"], {"weight_init/table_4_2": rows}.get)
    assert found.verdict == UNDECIDED
    alone = {"weight_init/table_4_2": rows[:-1]}
    assert judged(CLAIMS["weight_init/he_worst"], alone.get).wanted == SEEDS


def test_moves_are_less_what_noise_makes_of_them():
    rows = [row for row in FOUND["mobilenets/table_1"]]
    error, spread = 2.0, 3.0
    noisy = [{**row, **lost(row["loss"] + spread * (row["seed"] - 0.5), error)} for row in rows]
    name = "mobilenets/initialization_moves"
    still, moved = (CLAIMS[name].effect({"mobilenets/table_1": of}) for of in (rows, noisy))
    value = still.estimate().value  # pyright: ignore
    # of pairs of one seed the shift drops out; noise is the same in both groups
    assert value == pytest.approx(CLAIMS[name].claimed, abs=0.01)
    assert moved.estimate().value == pytest.approx(value, abs=0.01)  # pyright: ignore


def layers(kinds: str, **values: list[float]) -> Rows:
    names = {"c": "conv", "d": "depthwise", "p": "pointwise"}
    return [
        {"number": number, "kind": names[kind], **{c: of[number - 1] for c, of in values.items()}}
        for number, kind in enumerate(kinds, 1)
    ]


def test_margins_are_against_the_mean_of_both_neighbours():
    of = layers("cdpdc", r=[1.0, 100.0, 10.0, 0.0, 1.0], p=[0.5, 0.1, 0.7, 0.4, 0.3])
    assert margins(of, "r", "depthwise", log=True) == {2: pytest.approx(1.5)}  # layer 4 has no log
    found = margins(of, "p", "depthwise", log=False)
    assert found == {2: pytest.approx(-0.5), 4: pytest.approx(-0.1)}


def test_fluctuation_is_the_mean_step():
    of = layers("cdp", r=[1.0, 10.0, 0.1], p=[0.5, 0.1, 0.4])
    assert fluctuation("r", log=True)(of) == pytest.approx(1.5)
    assert fluctuation("p", log=False)(of) == pytest.approx(0.35)


def of_families(values: Mapping[str, list[float]], kinds: str, column: str) -> Rows:
    """Rows of the trained networks of families, whose values grow by a thousandth a network."""
    return [
        {"network": n.name, "family": n.family, **row, column: row[column] * (1 + at / 1000)}
        for at, n in enumerate(ABLATION)
        if n.family in values
        for row in layers(kinds, **{column: values[n.family]})
    ]


def test_dips_that_training_makes_and_dips_that_were_there():
    dips, flat = [0.5, 0.2, 0.6], [0.5, 0.5, 0.5]
    both = ("DWS", "MobileNet")
    trained, begun = (
        of_families(dict.fromkeys(both, of), "cdp", "folded_precision") for of in (dips, flat)
    )
    table = [{**row, "seed": 0} for row in FOUND["mobilenets/table_1"] if row["seed"] == 0]
    found = {
        "mobilenets/table_1": table,
        "mobilenets/untrained": table,
        "mobilenets/figure_5": trained,
        "mobilenets/untrained_layers": begun,
    }
    one = judged(CLAIMS["mobilenets/precision_dips"], found.get)
    assert one.verdict == HOLDS
    assert estimate(one).value == pytest.approx(0.35, abs=0.01)
    found["mobilenets/untrained_layers"] = trained
    assert judged(CLAIMS["mobilenets/precision_dips"], found.get).verdict == "true before training"


def test_places_of_the_spectrum_need_seeds():
    rows = [
        {"network": n.name, "seed": 0, "status": "finished", "uint8_accuracy": 80.0} | lost(points)
        for n, points in zip(SPECTRUM, (2.8, 6.5, 5.7, 5, 5, 5, 12.0, 3.3), strict=True)
    ]
    one = judged(CLAIMS["factorizenet/f16_worst"], {"factorizenet/figure_5_4": rows}.get)
    assert (one.verdict, one.wanted) == (UNDECIDED, SEEDS)
    rows += [{**row, "seed": 1, **lost(row["loss"] + 0.2)} for row in rows[:2]]
    one = judged(CLAIMS["factorizenet/f16_worst"], {"factorizenet/figure_5_4": rows}.get)
    assert one.verdict == HOLDS
    assert estimate(one).value == pytest.approx(12.0 - 6.6)


def test_early_figures_say_little_only_where_the_final_ones_say_something():
    early = [
        {"source": "analysis", "statistic": "loss", "published_epoch": 5, "networks": 32,
         "rho": rho, "p": None}
        for rho in (0.05,)
    ]  # fmt: skip
    claim = CLAIMS["weight_init/epoch_5_loss_says_little"]
    found = {**FOUND, "weight_init/early_ranking": early}
    assert judged(claim, found.get).verdict == HOLDS
    assert training_claims.reliability(FOUND) > 0.99
    noisy = [
        {**row, **lost(row["loss"], 10.0)} if "loss" in row else row
        for row in FOUND["weight_init/table_4_2"]
    ]
    found["weight_init/table_4_2"] = noisy
    assert training_claims.reliability(found) == 0.0
    assert judged(claim, found.get).verdict != HOLDS


def test_a_value_has_settled_where_it_stays_near_its_end():
    assert training_claims.settling([0.0, 10.0, 1.0, 1.0, 1.0]) == 0.5
    assert training_claims.settling([1.0, 1.0, 1.0]) == 0.0
    assert training_claims.restlessness([1.0, 3.0, 2.0, 2.0]) == pytest.approx(1.5 / 2.0)
