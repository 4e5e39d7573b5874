"""Small files that ask for much: what they cost before they are refused, or read."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "formats"))

from making import assemble, coding
from making.assemble import ANS, LATENTS, REFINEMENT, ZSTD, Chunk, File, Sub

import aecodec
from aecodec.codec.codec import Codec
from aecodec.container.parts import PIXEL_FAST
from aecodec.errors import AezLimitError
from aecodec.limits import Limits
from aecodec.models.model import Model, Part
from aecodec.nets import latent_decoder, latent_prior
from aecodec.nets.latent_decoder import AutoencoderConfig
from aecodec.nets.latent_prior import PriorConfig
from aecodec.nets.layers import layer_tensors
from aecodec.nets.pixel_model import PixelConfig, tensor_shapes
from aecodec.nets.planes import PlaneGrid
from aecodec.pixels import payloads

MOST_NBYTES = 64 << 20
KILOBYTE = 1024
HANG_S = 60  # a guard against files that never end, not a measure of speed
MAXIMUM = 2**32 - 1

# In a process of its own, as memory once taken is not given back. /proc/self/clear_refs sets the
# peak back; where it is not there the test skips.
PROBE = """
import json, sys, time
import aecodec
from aecodec.cli import main
from aecodec.errors import AezError

def status(key):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith(key))

def image(path):
    with aecodec.open(path) as archive:
        archive[-1:]

def info(path):
    with aecodec.open(path) as archive:
        _ = archive.info, archive.names

def repair(path):
    aecodec.repair(path, path + ".out", force=True)

STEPS = {"open": lambda path: aecodec.open(path).close(), "info": info, "verify": aecodec.verify,
         "image": image, "repair": repair}
paths = sys.argv[1:]
for path in (path for path in paths if "warm" in path):  # torch and an installed model are there
    for step in STEPS.values():
        step(path)
for path in paths:
    for name, step in STEPS.items():
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
        before, start = status("VmRSS"), time.perf_counter()
        try:
            step(path)
            outcome = "read"
        except AezError as error:
            outcome = type(error).__name__
        seconds = time.perf_counter() - start
        print(json.dumps([path, name, outcome, status("VmHWM") - before, seconds]), flush=True)
"""


def one_chunk(
    sub: Sub, images: int, side: int, flags: int, parts: Sequence[str] = (), model: str = "mnist"
) -> bytes:
    """A file that says its sub-payload holds so many square images, by parts of a bundled model."""
    part = None
    if parts:
        bundled = aecodec.load_model(model)
        prints = bundled.fingerprints()
        named = [(p.encode(), prints[p]) for p in sorted(parts)]
        part = assemble.part_payload(named, model.encode())
        flags |= bundled.required_flags(parts)
    head = assemble.header(height=side, width=side, required_flags=flags, chunk_images=images)
    return File(head, [Chunk(images, [sub], b"")], part=part).pack()


def zeros(nbytes: int, images: int, side: int) -> bytes:
    """A sound file of images that are all 0, under zstd."""
    sub = Sub(assemble.zstd_zeros(nbytes), coding.PACKED)
    head = assemble.header(height=side, width=side, required_flags=ZSTD, chunk_images=images)
    chunk = Chunk(
        images, [sub], b"", changes={"pixels_sha256": hashlib.sha256(bytes(nbytes)).digest()}
    )
    return File(head, [chunk]).pack()


def section_bomb(kind: str, payload: bytes) -> bytes:
    return File(assemble.header(), [], [assemble.section(kind, payload)]).pack()


def column_bomb() -> bytes:
    start = bytes([9]) + bytes(8) + b"\1a"
    return section_bomb("COLM", start + zlib.compress(bytes(800_000), 9))


def many_sub_payloads() -> bytes:
    """As many as go into a kilobyte, each for many images."""
    subs = [Sub(b"", 3, e) for e in range(60)]
    chunk = Chunk(60 * 30_000, subs, b"", [(i, 30_000) for i in range(60)])
    head = assemble.header(
        height=1, width=1, required_flags=REFINEMENT | ANS, chunk_images=60 * 30_000
    )
    part = assemble.part_payload([(b"pixel_fast", bytes(32))])
    return File(head, [chunk], part=part).pack()


def constant_latents() -> bytes:
    """30,000 images whose latents are all the same, so that they take no bytes."""
    latents = int(aecodec.load_model("mnist").parts["latent_decoder"].config["latents"])
    table = bytes(2 * latents)
    frame = assemble.zstd_frame(table)
    payload = assemble.leb128(len(table)) + assemble.leb128(len(frame)) + frame
    sub = Sub(payload, coding.LATENTS_ZSTD, 1280)
    return one_chunk(sub, 30_000, 28, LATENTS | ZSTD, ["latent_decoder"])


def states(fill: int) -> bytes:
    return b"".join((fill + i).to_bytes(8, "little") for i in range(7))


def certain_model() -> Model:
    """A model embedded in next to nothing, sure of every pixel: images cost it nothing at all."""
    grid, c = PlaneGrid(28, 28, 1), PixelConfig(1, 1, 1)
    part = Part(PIXEL_FAST, c.decoding(grid), all_black(c, grid))
    return Model("", (28, 28, 1), {PIXEL_FAST: part})


def all_black(c: PixelConfig, grid: PlaneGrid) -> dict[str, np.ndarray]:
    """Tensors of a pixel model that is sure of gray level 0."""
    wanted = tensor_shapes(c, grid)
    tensors = {name: np.zeros(shape, dtype) for name, (shape, dtype) in wanted.items()}
    tensors["out.bias"][:, 1] = -512  # the sharpest of logistics
    return tensors


def certain(junk_nbytes: int) -> bytes:
    """As many images as its bytes may hold; with no junk at the end, a sound file."""
    model = certain_model()
    bound, images = 127, 8 * (56 + junk_nbytes)
    black = np.zeros((images, 28, 28, 1), np.uint8)
    plan = payloads.PixelPlan(Codec(model).networks.refiner(), black, bound)
    payload = plan.encode(np.arange(images))[: 56 + junk_nbytes]
    payload += bytes(56 + junk_nbytes - len(payload))
    chunk = Chunk(images, [Sub(payload, coding.PIXELS, bound)], plan.x_hat.tobytes())
    flags = REFINEMENT | ANS
    return coding.file_of((28, 28, 1), [chunk], flags, model, embed=True, chunk_images=images)


def wide(fine: int) -> bytes:
    """A sound file of black images on an underlay of zeros, by a decoder with a layer so wide."""
    shape, count, bound = (28, 28, 1), 448, 127

    def standing(fine: int) -> Model:
        c = AutoencoderConfig(*shape, 1, 1, 1, fine, coarse_blocks=0, fine_blocks=0)
        grid, prior = PlaneGrid(*shape), PriorConfig(1, 1, 1)
        pixels = PixelConfig(shape[2], 1, 1, underlaid=True)
        decoder = {"gain": np.ones((9, 1), np.uint16)}
        for layer, weights in latent_decoder.layer_shapes(c).items():
            wanted = layer_tensors(layer, weights, np.int16 if layer == "dense1" else np.int8)
            decoder |= {name: np.zeros(*each) for name, each in wanted.items()}
        sure = {n: np.zeros(*each) for n, each in latent_prior.tensor_shapes(prior).items()}
        sure["out_rows"][..., prior.mixtures :] = -32000
        black = {**all_black(pixels, grid), "underlay": np.array([256], np.uint16)}
        parts = [
            Part("latent_decoder", c.decoding(), decoder),
            Part("latent_prior", prior.decoding(), sure),
            Part(PIXEL_FAST, pixels.decoding(grid), black),
        ]
        return Model("", shape, {part.name: part for part in parts})

    refiner = Codec(standing(1)).networks.refiner()
    underlay = refiner.underlay.code_symbols(np.zeros((count, 1), np.int16))
    zeros = np.zeros((count, *shape), np.uint8)
    plan = payloads.PixelPlan(refiner, zeros, bound, underlay=underlay)
    sub = Sub(plan.encode(np.arange(count)), coding.PIXELS, bound)
    model = standing(fine)
    flags = LATENTS | REFINEMENT | ANS | model.required_flags(model.parts)
    chunk = Chunk(count, [sub], plan.x_hat.tobytes())
    return coding.file_of(shape, [chunk], flags, model, embed=True, chunk_images=count)


FILES: dict[str, Callable[[], bytes]] = {
    "sides": lambda: one_chunk(Sub(b"", 0), 1, 65535, 0),
    "count": lambda: one_chunk(Sub(b"", 0), MAXIMUM, 1, 0),
    "count under zstd": lambda: one_chunk(Sub(assemble.zstd_zeros(1 << 25), 1), 1 << 21, 4, ZSTD),
    "31 MiB of zeros": lambda: zeros(31 << 20, 31 << 10, 32),
    "1x1 images": lambda: zeros(2_500_000, 2_500_000, 1),
    "one image of zeros": lambda: zeros(5600 * 5600, 1, 5600),
    "names": lambda: section_bomb("NAME", zlib.compress(bytes(800_000), 9)),
    "nested names": lambda: section_bomb("NAME", zlib.compress(b"[" * 400_000, 9)),
    "nested metadata": lambda: section_bomb("META", b"[" * 700),
    "column": column_bomb,
    "embedded model": lambda: section_bomb("MODL", zlib.compress(bytes(800_000), 9)),
    "sub-payloads": many_sub_payloads,
    "constant latents": constant_latents,
    "latents under ANS": lambda: one_chunk(
        Sub(states(1 << 32), 5, 256),
        448,
        28,
        LATENTS | ANS,
        ["latent_decoder", "latent_prior"],
    ),
    "certain": lambda: certain(0),
    "certain and junk": lambda: certain(400),
    "pixels under ANS": lambda: one_chunk(
        Sub(states(1 << 33), 3, 127), 448, 28, REFINEMENT | ANS, ["pixel_fast"]
    ),
    "pixels on latents": lambda: one_chunk(
        Sub(states(1 << 33), 3, 127),
        448,
        28,
        REFINEMENT | ANS,
        ["pixel_fast", "latent_decoder", "latent_prior"],
        "fashion",
    ),
    "pixels on wide latents": lambda: wide(600),
}


@pytest.fixture(scope="module")
def costs(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], list]:
    """(file, step) -> what came of it, peak bytes, seconds."""
    if not os.access("/proc/self/clear_refs", os.W_OK):
        pytest.skip("no /proc/self/clear_refs to measure memory with")
    folder = tmp_path_factory.mktemp("hostile")
    for name, make in FILES.items():
        data = make()
        assert len(data) <= KILOBYTE + 1024, (name, len(data))
        (folder / f"{name}.aez").write_bytes(data)
    images = coding.smooth(20, (28, 28, 1))
    for i, coded in enumerate(({"psnr": 40}, {"quality": 5}, {"quality": 5, "coder": "ans"})):
        (folder / f"warm {i}.aez").write_bytes(aecodec.encode(images, model="mnist", **coded))
    run = subprocess.run(
        [sys.executable, "-c", PROBE, *folder.glob("*.aez")],
        capture_output=True,
        text=True,
        check=True,
        timeout=HANG_S * len(FILES),
    )
    rows = [json.loads(line) for line in run.stdout.splitlines()]
    return {(Path(row[0]).stem, row[1]): row[2:] for row in rows}


@pytest.mark.parametrize("name", FILES)
def test_a_kilobyte_costs_little_memory(costs, name):
    for step in ("open", "info", "verify", "image", "repair"):
        outcome, nbytes, seconds = costs[name, step]
        assert nbytes <= MOST_NBYTES, (step, outcome, nbytes)
        assert seconds < HANG_S, (step, outcome, seconds)


def test_what_is_sound_is_read(costs):
    for name in (
        "31 MiB of zeros",
        "1x1 images",
        "one image of zeros",
        "constant latents",
        "pixels on wide latents",
    ):
        assert costs[name, "image"][0] == "read"


def test_what_asks_for_too_much_is_refused(costs):
    for name, step in (("sides", "image"), ("count", "image"), ("count", "verify")):
        assert costs[name, step][0] == "AezLimitError"
    for name in ("names", "nested names", "nested metadata", "column", "embedded model"):
        assert costs[name, "info" if name != "embedded model" else "open"][0] != "AezLimitError"


def test_limits_are_the_callers(tmp_path):
    data = zeros(31 << 20, 31 << 10, 32)
    with (
        aecodec.open(data, limits=Limits(max_memory_nbytes=1 << 20)) as archive,
        pytest.raises(AezLimitError, match="max_memory_nbytes allows 1048576"),
    ):
        archive[0]
    huge = zeros(48 << 20, 3, 4096)
    with aecodec.open(huge) as archive, pytest.raises(AezLimitError, match="max_memory_nbytes"):
        archive[0]
    with aecodec.open(huge, limits=Limits(max_memory_nbytes=1 << 30)) as archive:
        assert not archive[2].any()
    with pytest.raises(AezLimitError, match="32505856 bytes of images, max_decoded_nbytes"):
        aecodec.decompress(data, tmp_path / "x.npy", limits=Limits(max_decoded_nbytes=1 << 20))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("command", ["info", "verify", "decompress", "repair"])
def test_limits_on_the_command_line(command, tmp_path, capsys):
    from aecodec.cli import main

    path = tmp_path / "x.aez"
    path.write_bytes(zeros(31 << 20, 31 << 10, 32))
    arguments = [command, str(path)]
    if command in ("decompress", "repair"):
        arguments += ["-o", str(tmp_path / "out")]
    assert main([*arguments, "--max-memory", "64 mib"]) == 0
    most = "27" if command == "info" else "10M"  # info reads the index, and no payload
    assert main([*arguments, "--max-memory", most, *(["-f"] * (len(arguments) > 2))]) == 4
    assert "--max-memory allows" in capsys.readouterr().err
    assert main([*arguments, "--max-memory", "much"]) == 2
    assert "--max-memory: expected bytes, such as 64M or 2G, got 'much'" in capsys.readouterr().err


def test_limits_are_checked():
    with pytest.raises(ValueError, match="max_model_nbytes: expected bytes, 0 or more, got -1"):
        Limits(max_model_nbytes=-1)
