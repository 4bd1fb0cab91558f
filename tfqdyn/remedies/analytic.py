"""Bias correction without data: the expected input of every layer comes from its batch norms.

    b <- b - (W_q - W) E[x]

(Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction",
section 4.2.1, Eq. 17). Before its activation a channel with a batch norm is taken to be normal,
N(beta, gamma^2); a ReLU clips that to [0, top], whose mean is (appendix C, Eq. 19)

    top (1 - Phi(t)) + mu (Phi(t) - Phi(a)) - sigma (phi(t) - phi(a)),
    a = -mu / sigma, t = (top - mu) / sigma.

Padding is left out of the expectation. Layers whose input has no known mean (the first one, what
follows a maximum, ...) are listed and left alone.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tfqdyn.network.folding import BatchNorm, Folded
from tfqdyn.network.graph import Graph, Node
from tfqdyn.numerics.grid import dequantize, quantize
from tfqdyn.numerics.layouts import grouped
from tfqdyn.quantization.fakequant import kernel_params
from tfqdyn.remedies.bias_correction import shifted
from tfqdyn.remedies.images import CalibrationImages
from tfqdyn.remedies.record import Change, Remedied

WITHOUT_STATISTICS = (
    "Nothing is changed: the network has no batch norms (a .tflite file has them folded for good), "
    "whose statistics alone tell the means; bias_correction measures them on images."
)
_PHI = np.vectorize(lambda z: 0.5 * (1.0 + math.erf(z / math.sqrt(2.0))), otypes=[np.float64])


@dataclass(frozen=True, eq=False)
class Expected:
    """Mean of every channel [C], and where it is (clipped) normal the normal's (mu, sigma)."""

    mean: NDArray[np.float64]
    normal: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None


def bias_correction_analytic(folded: Folded, images: CalibrationImages) -> Remedied:
    """Analytic bias correction; looks at no images.

    Args:
        folded: a folded network with its record of batch norms.
        images: unused, but for the scheme.
    """
    expected = expectations(folded.graph, folded.batch_norms)
    deployed = folded.deployed
    quantized = {name: dict(weights) for name, weights in folded.quantized.items()}
    changes: list[Change] = []
    unknown: list[str] = []
    for node in deployed:
        if not node.traits.remedied or node.name in folded.float_layers:
            continue
        known = expected.get(node.inputs[0])
        if known is None or node.shared:
            unknown.append(node.name)
            continue
        params = kernel_params(node, images.dtype)
        exact = folded.graph.by_name[node.name].kernel.astype(np.float64)
        error = dequantize(quantize(node.kernel, params), params) - exact
        made, found = shifted(node, -_response(node, error, known.mean))
        quantized.setdefault(node.name, {})["bias"] = made.weights["bias"]
        changes += found
    notes = (f"Inputs of unknown mean: {', '.join(unknown)}.",) if unknown else ()
    if not folded.batch_norms:
        notes = (WITHOUT_STATISTICS,)
    cured = replace(folded, quantized=quantized)
    return Remedied(cured, "bias_correction_analytic", tuple(changes), {}, notes)


def expectations(graph: Graph, batch_norms: Mapping[str, BatchNorm]) -> dict[str, Expected]:
    """The expected value of every node that batch norms tell it of, by name."""

    found: dict[str, Expected] = {}
    for node in graph.computing:
        known = [found.get(name) for name in node.inputs]
        value = _expected(node, batch_norms.get(node.name), known)
        if value is not None:
            found[node.name] = value
    return found


def _expected(node: Node, norm: BatchNorm | None, known: list[Expected | None]) -> Expected | None:
    if norm is not None:
        return Expected(norm.beta, (norm.beta, np.abs(norm.gamma)))
    if any(value is None for value in known):
        return None
    first = known[0]
    assert first is not None
    if node.op in ("relu", "cap") and first.normal is not None:
        top = node.weights["cap"] if node.op == "cap" else node.config["max_value"]
        return Expected(clipped_mean(*first.normal, math.inf if top is None else top), first.normal)
    if node.traits.keeps_mean:
        return Expected(first.mean)
    if node.op == "reshape" and node.output_shape[-1] % len(first.mean) == 0:
        return Expected(np.tile(first.mean, node.output_shape[-1] // len(first.mean)))
    if node.op == "add":
        return Expected(np.sum([value.mean for value in known if value is not None], axis=0))
    if node.op == "concatenate" and node.config["axis"] == len(node.output_shape):
        return Expected(np.concatenate([value.mean for value in known if value is not None]))
    return None


def clipped_mean(
    mu: NDArray[np.float64], sigma: NDArray[np.float64], top: NDArray | float
) -> NDArray[np.float64]:
    """Mean of a normal variable clipped to [0, top] (Nagel et al. 2019, Eq. 19)."""
    bound = np.broadcast_to(np.asarray(top, np.float64), mu.shape)
    spread = np.where(sigma > 0, sigma, 1.0)
    a, t = -mu / spread, (bound - mu) / spread
    density = [np.exp(-0.5 * z**2) / math.sqrt(2.0 * math.pi) for z in (a, t)]
    above = np.where(np.isinf(bound), 0.0, np.where(np.isinf(bound), 0.0, bound) * (1.0 - _PHI(t)))
    mean = above + mu * (_PHI(t) - _PHI(a)) - spread * (density[1] - density[0])
    return np.where(sigma > 0, mean, np.clip(mu, 0.0, bound))


def _response(node: Node, kernel: NDArray, mean: NDArray) -> NDArray[np.float64]:
    """What a layer with this kernel [H, W, I, K] gives on a constant input [C], [K]."""
    summed = grouped(kernel, node.groups).sum(axis=(1, 2))
    return np.einsum("gik,gi->gk", summed, mean.reshape(node.groups, -1)).reshape(-1)
