"""Clause 10: embedded models, parts that are not found, configs, and new tensors."""

from __future__ import annotations

import hashlib
import json
import pickle
import struct
import zlib
from dataclasses import replace

import numpy as np

from aecodec.models.file import pack_model
from aecodec.models.model import Model, Part
from making.assemble import LATENTS, ZSTD, section
from making.coding import file_of
from making.refused.common import (
    Named,
    NamedVectors,
    bad,
    latent_chunk,
    with_decoder,
    with_pixel_model,
    with_prior,
    with_trunks,
)
from making.tiny_models import (
    GRAY,
    LATENT_MODEL,
    POINT,
    changed,
    configured,
    dots,
    latent_decoder,
    model_of,
)
from making.vector import MISSING, Refusal

PART = "latent_decoder"
DECODER = LATENT_MODEL.decoding([PART])
OTHER = changed(DECODER, PART, "gain", lambda gain: gain + 1)


def vectors() -> NamedVectors:
    """Each name with its vector."""
    yield from _zlib()
    yield from _safetensors()
    yield from _other_parts()
    yield from _not_found()
    yield from _configs()
    yield from _not_announced()


# ---------------------------------------------------------------- 10.4: MODL


def _embedded(name: str, payload: bytes, about: str, match: str) -> Named:
    data = with_decoder(DECODER, [section("MODL", payload)])
    return bad(f"embedded-{name}", data, "10.4", f"MODL: {about}", match)


def _zlib() -> NamedVectors:
    packed = zlib.compress(pack_model(DECODER), 9)
    data = with_decoder(DECODER, [section("MODL", packed, payload_crc32=0)])
    yield bad("embedded-crc32", data, "10.4", "MODL: payload_crc32 of MODL", "payload_crc32")
    yield _embedded("zlib", b"\x78\xda" + bytes(20), "no zlib data", "zlib")
    yield _embedded("zlib-cut", packed[:-3], "zlib data that is cut", "zlib")
    yield _embedded("zlib-goes-on", packed + b"\0", "a byte after zlib data", "zlib")
    data = with_decoder(DECODER, [section("MODL", packed)] * 2)
    yield bad("embedded-twice", data, "10.4", "two MODL", "MODL")


def _safetensors() -> NamedVectors:
    packed = pack_model(DECODER)
    yield _embedded("empty", zlib.compress(b""), "no safetensors", "model")
    pickled = pickle.dumps({"shape": (8, 8, 1)})
    yield _embedded("pickle", zlib.compress(pickled), "a pickle", "model")
    huge = zlib.compress(b"\xff" * 8 + packed[8:])
    yield _embedded("header-huge", huge, "a header of 2^64 bytes", "model")
    flipped = zlib.compress(packed[:-1] + bytes([packed[-1] ^ 1]))
    about = "a bit of a tensor, and the model's sha256 as before"
    yield _embedded("sha256", flipped, about, "checksum|sha256")
    cut = zlib.compress(packed[:-4])
    yield _embedded("cut", cut, "the last tensor is cut", "model|tensors")
    surrogate = zlib.compress(_with_a_lone_surrogate(DECODER))
    yield _embedded("surrogate", surrogate, "a config that has no UTF-8 form", "model")


def _with_a_lone_surrogate(model: Model) -> bytes:
    """The packed model with a lone surrogate in its config, and the sha256 of that."""
    packed = pack_model(configured(model, PART, hidden="?!"))
    start = 8 + struct.unpack_from("<Q", packed)[0]
    header = json.loads(packed[8:start])
    text = header["__metadata__"]["aecodec"].replace("?!", "\\ud800")
    digest = hashlib.sha256(text.encode())
    for name, entry in sorted((k, v) for k, v in header.items() if k != "__metadata__"):
        part, tensor = name.split(".", 1)
        array = model.parts[part].tensors[tensor]
        digest.update(f"\0{name}\0{array.dtype.name}\0{tuple(entry['shape'])}\0".encode())
        digest.update(array.tobytes())
    header["__metadata__"] = {"aecodec": text, "sha256": digest.hexdigest()}
    packed_header = json.dumps(header).encode()
    return struct.pack("<Q", len(packed_header)) + packed_header + packed[start:]


def _other_parts() -> NamedVectors:
    other = zlib.compress(pack_model(OTHER))
    yield _embedded("other", other, "another model than PART names", "names")
    more = zlib.compress(pack_model(LATENT_MODEL))
    yield _embedded("more", more, "a part more than PART names", "names")


# ---------------------------------------------------------------- 10.5: parts that are not found


def _not_found() -> NamedVectors:
    given, chunks, flags = ("latents-8x8",), [latent_chunk()], LATENTS | ZSTD
    data = file_of(GRAY, chunks, flags, OTHER)
    about, error = (
        "the model given has another latent_decoder than PART names",
        "ModelMismatchError",
    )
    yield "bad/model-fingerprint", Refusal(data, "10.5", about, PART, MISSING, error, given)
    about, error = "no model is given, and none with this part is known", "ModelMissingError"
    yield "bad/model-missing", Refusal(data, "10.5", about, PART, MISSING, error)
    data = file_of(GRAY, chunks, flags, LATENT_MODEL.decoding(["latent_prior"]))
    about = "a mode needs latent_decoder, PART names latent_prior alone"
    yield bad("model-part-not-named", data, "10.5", about, PART, given)
    data = with_decoder(replace(DECODER, shape=(8, 9, 1)))
    about = "a model for images of another shape"
    yield bad("poisoned-model-shape", data, "10.5", about, "images|shape")


# ---------------------------------------------------------------- 10.6: configs


def _configs() -> NamedVectors:
    def vector(name: str, about: str, match: str, **changes: object) -> Named:
        data = with_decoder(configured(DECODER, PART, **changes))
        return bad(f"poisoned-config-{name}", data, "10.6", about, match)

    yield vector("unknown", "an unknown key in the config", "config", more=1)
    yield vector("text", "latents is a text", "latents", latents="4")
    yield vector("huge", "hidden is 2^40", "hidden", hidden=1 << 40)
    about = "the part is for images of another height than the model's"
    yield vector("image", about, "shape|images", height=7)
    data = with_prior(configured(LATENT_MODEL, "latent_prior", mixtures=0))
    yield bad("poisoned-prior-mixtures", data, "10.6", "no mixtures", "mixtures")
    data = with_pixel_model(_without_mixtures())
    about = "a pixel model of no mixtures, its tensors to match"
    yield bad("poisoned-pixel-mixtures", data, "10.6", about, "mixtures")


def _without_mixtures() -> Model:
    whole = dots().parts["pixel_fast"]
    tensors = {name: each for name, each in whole.tensors.items() if not name.startswith("out")}
    tensors |= {
        "out_codes": np.zeros((16, 0, 9), np.int16),
        "out.weight": np.zeros((16, 0, 1), np.int8),
        "out.bias": np.zeros((16, 0), np.int32),
        "out.shift": np.zeros((16, 0), np.uint8),
    }
    config = {**whole.config, "mixtures": 0}
    return model_of("dots", POINT, Part("pixel_fast", config, tensors))


# ---------------------------------------------------------------- 10.7: new tensors


def _not_announced() -> NamedVectors:
    model = model_of("two-trunks", GRAY, latent_decoder(GRAY, 2, low_below=700))
    data = with_trunks(model, LATENTS | ZSTD)
    about = "the decoder has a low trunk, LOW_TRUNK is not set"
    yield bad("model-low-trunk-not-announced", data, "10.7", about, "required_flags")
