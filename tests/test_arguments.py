"""Arguments of a wrong kind are TypeErrors that name the argument and what was expected."""

from __future__ import annotations

import numpy as np
import pytest

import aecodec

IMAGES = np.zeros((5, 8, 8), np.uint8)
BLOB = aecodec.encode(IMAGES, model="none")
OBJECT = object()


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.aez").write_bytes(BLOB)


FUNCTIONS = {
    "encode": lambda **options: aecodec.encode(IMAGES, **options),
    "compress": lambda **options: aecodec.compress(
        **{"source": IMAGES, "target": "o.aez", "model": "none", **options}
    ),
    "decode": lambda **options: aecodec.decode(**{"blob": BLOB, **options}),
    "decompress": lambda **options: aecodec.decompress(
        **{"source": "x.aez", "target": "o.npy", **options}
    ),
    "open": lambda **options: aecodec.open(**{"source": "x.aez", **options}),
    "verify": lambda **options: aecodec.verify(**{"source": "x.aez", **options}),
    "repair": lambda **options: aecodec.repair(**{"source": "x.aez", "output": "r.aez", **options}),
    "load_model": lambda **options: aecodec.load_model(**{"name_or_path": "fashion", **options}),
    "Codec": lambda **options: aecodec.Codec(**{"model": None, **options}),
}
NEITHER = [5, (1, 2), OBJECT]  # path, bytes, file, model, codec, limits nor text
CASES = [
    *((f, "blob", v) for f in ("decode",) for v in (None, *NEITHER)),
    *((f, "source", v) for f in ("open", "verify", "repair", "decompress") for v in NEITHER),
    *((f, "source", None) for f in ("open", "verify", "repair", "decompress")),
    *((f, "target", v) for f in ("compress", "decompress") for v in NEITHER),
    *((f, "output", v) for f in ("repair",) for v in (None, *NEITHER)),
    *((f, "name_or_path", v) for f in ("load_model",) for v in (None, *NEITHER)),
    *(
        (f, "model", v)
        for f in ("encode", "compress", "decode", "decompress", "open", "verify", "Codec")
        for v in NEITHER
    ),
    *((f, "codec", v) for f in ("encode", "compress", "decode", "open") for v in ("x", *NEITHER)),
    *(
        (f, "limits", v)
        for f in ("decode", "decompress", "open", "verify", "repair")
        for v in (None, "x", *NEITHER)
    ),
    *((f, "progress", v) for f in ("compress", "decompress", "verify") for v in (None, 5)),
    *(("decompress", "images", v) for v in ((1, 2), [1], 3, "0:2", None)),
    *(("decompress", name, 5) for name in ("kind", "labels", "device")),
    *(
        ("encode", name, v)
        for name in ("quality", "max_error", "psnr", "target_bytes_per_image")
        for v in ("5", [5], OBJECT)
    ),
    *(("encode", "chunk_images", v) for v in (3.5, "3", [3])),
    *(("encode", name, v) for name in ("columns", "about") for v in (5, [1], "x")),
    *(("encode", "labels", v) for v in (5, 2.5)),
    *(("Codec", name, [1]) for name in ("device", "pixel_part", "coder", "effort")),
    ("load_model", "max_model_nbytes", "1M"),
]


@pytest.mark.parametrize(("function", "name", "value"), CASES)
def test_wrong_kinds_are_named(function, name, value):
    with pytest.raises(TypeError, match=rf"^{name}: expected .*, got {type(value).__name__}"):
        FUNCTIONS[function](**{name: value})


def test_what_is_close_enough_is_taken():
    model = aecodec.load_model("fashion")
    codec = aecodec.Codec(model, effort=np.int64(2))
    np.testing.assert_array_equal(aecodec.decode(bytearray(BLOB), codec=codec), IMAGES)
    options = {"max_error": np.float32(2), "chunk_images": np.int8(3), "labels": range(5)}
    assert aecodec.encode(IMAGES, model="none", **options)


def test_a_checked_function_keeps_its_name_and_signature():
    import inspect

    assert aecodec.decode.__name__ == "decode"
    assert list(inspect.signature(aecodec.decode).parameters) == [
        "blob", "model", "codec", "limits",
    ]  # fmt: skip
    with pytest.raises(TypeError, match="missing"):
        aecodec.decode()
