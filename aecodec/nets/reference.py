"""The decoding networks in plain NumPy int64: the same bits as the torch ones, slowly.

These are clauses 9, 11, 13 and 14 of formats/aez.md read aloud; they are what decoding *means*. No torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Ints: TypeAlias = npt.NDArray[np.int64]


def decode_latents(
    config: Mapping[str, int],
    tensors: Mapping[str, np.ndarray],
    symbols: np.ndarray,
    gains: np.ndarray,
    trunk: str = "",
) -> npt.NDArray[np.uint8]:
    """Symbols (N, D) and gains (D,) or (N, D), integers -> images uint8 (N, H, W, C).

    ``config`` and ``tensors`` are those of a ``latent_decoder`` part (clause 10); ``trunk`` is
    "low_" where its low trunk is to be used.
    """
    n = len(symbols)
    rows, columns = -(-config["height"] // 4), -(-config["width"] // 4)

    def layer(name: str, x: Ints) -> Ints:
        weight, bias, shift = (
            tensors[f"{name}.{kind}"].astype(np.int64) for kind in ("weight", "bias", "shift")
        )
        if weight.ndim == 4:
            x = _neighbourhoods(x)
            weight = weight.reshape(len(weight), -1)
        return (x @ weight.T + bias) >> shift

    z = np.clip(symbols.astype(np.int64) * gains.astype(np.int64), -32767, 32767)
    r = layer("dense2", _act(layer("dense1", z))).reshape(n, rows, columns, config["coarse"])
    for i in range(config["coarse_blocks"]):
        r = r + layer(f"{trunk}coarse{i}b", _act(layer(f"{trunk}coarse{i}a", _act(r))))
    r = _shuffle(layer(f"{trunk}up", _act(r)))
    for i in range(config["fine_blocks"]):
        r = r + layer(f"{trunk}fine{i}b", _act(layer(f"{trunk}fine{i}a", _act(r))))
    out = _shuffle(layer(f"{trunk}out", _act(r)))  # (N, H4, W4, C)
    linear = layer("linear", z).reshape(n, config["channels"], 4 * rows, 4 * columns)
    pixels = np.clip((linear.transpose(0, 2, 3, 1) + out + 8) >> 4, 0, 255)
    cropped: npt.NDArray[np.uint8] = pixels[:, : config["height"], : config["width"]].astype(
        np.uint8
    )
    return cropped


def predict_plane(
    tensors: Mapping[str, np.ndarray],
    k: int,
    planes: np.ndarray,
    bound: int,
    underlay: np.ndarray | None = None,
) -> Ints:
    """Planes (N, P, R, S), the first k known -> raw parameters (N, R, S, 3K) of plane k.

    ``tensors`` are those of a pixel model's part (clause 11); ``underlay`` (N, P, R, S) is what
    one that has the tensor of this name stands on.
    """

    def layer(kind: str, index: int, weight: np.ndarray, x: Ints) -> Ints:
        bias, shift = (
            tensors[f"{kind}.{name}"][index].astype(np.int64) for name in ("bias", "shift")
        )
        rows: Ints = weight.astype(np.int64).reshape(len(weight), -1)
        y: Ints = (x @ rows.T + bias) >> shift
        return y

    code = _bound_code(bound)
    start = (tensors["see_codes"][k].astype(np.int64) @ code) >> 6
    h = (tensors["places"][k].astype(np.int64) + start[:, None, None]).transpose(1, 2, 0)[None]
    if k or underlay is not None:
        heads, rows = len(tensors["places"]), k * (k - 1) // 2 + np.arange(k)
        known, index = planes[:, :k], k - 1
        first = heads * (heads - 1) // 2
        if "tones" in tensors:
            rows = np.concatenate([rows, first + rows])
            known = np.concatenate([known, tensors["tones"][known]], axis=1)
            first *= 2
        if underlay is not None:
            first += k * heads - k * (k - 1) // 2
            rows = np.concatenate([rows, first + np.arange(heads - k)])
            known, index = np.concatenate([known, underlay[:, k:]], axis=1), k
        kernels = tensors["see.weight"][rows].transpose(1, 0, 2, 3)
        known = known.astype(np.int64).transpose(0, 2, 3, 1)
        h = layer("see", index, kernels, _neighbourhoods(known)) + h
    else:
        h = np.broadcast_to(h, (len(planes), *h.shape[1:]))
    h = _act(layer("mix", k, tensors["mix.weight"][k], _neighbourhoods(_act(h))))
    h = _act(layer("dense", k, tensors["dense.weight"][k], h))
    out = (tensors["out_codes"][k].astype(np.int64) @ code) >> 6
    raw: Ints = layer("out", k, tensors["out.weight"][k], h) + out
    return raw


def dequantize(
    tensors: Mapping[str, np.ndarray], planes: np.ndarray, bound: int
) -> npt.NDArray[np.uint8]:
    """Planes (N, P, R, S) as decoded under a bound -> the same, moved by at most the bound.

    ``tensors`` are those of a ``dequantizer`` part (clause 13).
    """

    def layer(kind: str, x: Ints) -> Ints:
        weight, bias, shift = (
            tensors[f"{kind}.{name}"].astype(np.int64) for name in ("weight", "bias", "shift")
        )
        y: Ints = (x @ weight.reshape(len(weight), -1).T + bias) >> shift
        return y

    code = _bound_code(bound)
    start = tensors["places"].astype(np.int64).transpose(1, 2, 0)
    start = start + ((tensors["see_codes"].astype(np.int64) @ code) >> 6)
    x = planes.astype(np.int64).transpose(0, 2, 3, 1)
    h = _act(layer("mix", _neighbourhoods(_act(start + layer("see", _neighbourhoods(x))))))
    moves = layer("out", _act(layer("dense", h)))
    moves = moves + ((tensors["out_codes"].astype(np.int64) @ code) >> 6)
    moved = np.clip(x + ((np.clip(moves, -256, 256) * bound + 128) >> 8), 0, 255)
    planes_first: npt.NDArray[np.uint8] = moved.transpose(0, 3, 1, 2).astype(np.uint8)
    return planes_first


def predict_latents(
    config: Mapping[str, int],
    tensors: Mapping[str, np.ndarray],
    g: int,
    symbols: np.ndarray,
    gains: np.ndarray,
    quality: int,
) -> Ints:
    """Symbols (N, D) and gains (D,), latents as the decoder numbers them -> raw parameters of group
    g, (N, n, 3K); ``quality`` is the stored one.

    ``config`` and ``tensors`` are those of a ``latent_prior`` part (clause 14).
    """

    def layer(name: str, x: Ints) -> Ints:
        weight, bias, shift = (
            tensors[f"{name}{g}.{kind}"].astype(np.int64) for kind in ("weight", "bias", "shift")
        )
        y: Ints = (x @ weight.T + bias) >> shift
        return y

    def at_quality(table: np.ndarray) -> Ints:
        row, fraction = quality // 256 - 1, quality % 256
        low, high = table[row].astype(np.int64), table[min(row + 1, 8)].astype(np.int64)
        mixed: Ints = (low * (256 - fraction) + high * fraction) >> 8
        return mixed

    n, mixtures = len(symbols), config["mixtures"]
    order = tensors["order"].astype(np.int64)
    before, members = order[: g * config["group"]], order[g * config["group"] :][: config["group"]]
    gain, unit = gains.astype(np.int64), tensors["unit"].astype(np.int64)
    h = np.broadcast_to(at_quality(tensors["see_rows"])[g], (n, config["features"]))
    if g:
        value = symbols[:, before].astype(np.int64) * gain[before]
        value = (value + (1 << unit[before] >> 1)) >> unit[before]
        h = h + layer("see", np.clip(value, -128, 127))
    out = layer("out", _act(layer("mix", _act(h)))).reshape(n, len(members), 3 * mixtures)
    first = g * config["group"]
    out = out + at_quality(tensors["out_rows"])[first : first + len(members)]
    means = (out[..., :mixtures] << unit[members][:, None]) // np.maximum(gain[members], 1)[:, None]
    means = np.clip(means + 1024, -(1 << 20), 1 << 20)
    return np.concatenate([means, out[..., mixtures:]], axis=-1)


def _bound_code(bound: int) -> Ints:
    """(9,) the code of an error bound, in 1/64 (clause 11.3)."""
    coded = (0, 1, 2, 4, 8, 16, 32, 64, 127)
    code = np.zeros(9, np.int64)
    low = max(i for i in range(8) if coded[i] <= bound)
    upper = ((bound - coded[low]) << 6) // (coded[low + 1] - coded[low])
    code[low], code[low + 1] = 64 - upper, upper
    return code


def _act(x: Ints) -> Ints:
    return np.clip(x, 0, 255)


def _neighbourhoods(x: Ints) -> Ints:
    """(N, H, W, C) -> (N, H, W, C*9), zeros around, in the order of a (C, 3, 3) kernel."""
    n, height, width, channels = x.shape
    padded = np.zeros((n, height + 2, width + 2, channels), np.int64)
    padded[:, 1:-1, 1:-1] = x
    taps = [padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    return np.stack(taps, axis=-1).reshape(n, height, width, channels * 9)


def _shuffle(x: Ints) -> Ints:
    """(N, H, W, 4*C) -> (N, 2H, 2W, C): channel 4*c + 2*i + j goes to row 2h+i, column 2w+j."""
    n, height, width, channels = x.shape
    x = x.reshape(n, height, width, channels // 4, 2, 2).transpose(0, 1, 4, 2, 5, 3)
    return x.reshape(n, 2 * height, 2 * width, channels // 4)
