"""A small result of a bench, without running one."""


def row(coder, scope, setting, bpp, psnr_db, *, kind="lossy", ours=False, **more):
    return {
        "coder": coder,
        "scope": scope,
        "family": coder if ours else f"{coder}, {scope}",
        "ours": ours,
        "kind": kind,
        "setting": setting,
        "nbytes": int(98_000 * bpp),
        "bpp": bpp,
        "psnr_db": psnr_db,
        "max_error": 0 if psnr_db is None else 9,
        "max_error_p99": 0.0 if psnr_db is None else 8.0,
        "ssim": 1.0 if psnr_db is None else 0.9,
        "accuracy": 0.95,
        "encode_images_per_s": 12_000.0,
        "decode_images_per_s": 24_000.0,
        **more,
    }


def bench_result():
    """A result of every kind of row, as ``run_bench`` returns it."""
    aez = {"ours": True, "scope": "any image"}
    rows = [
        row("aecodec ans", setting=25, bpp=0.13, psnr_db=25.01, target="psnr", **aez),
        row("aecodec ans", setting=30, bpp=0.24, psnr_db=30.02, target="psnr", **aez),
        row(
            "aecodec fast",
            setting=0,
            bpp=1.1,
            psnr_db=None,
            kind="bounded",
            target="max_error",
            **aez,
        ),
        row(
            "aecodec fast",
            setting=8,
            bpp=0.5,
            psnr_db=38.0,
            kind="bounded",
            target="max_error",
            **aez,
        ),
        row("JPEG", "mosaic", 10, 0.5, 22.0),
        row("JPEG", "mosaic", 50, 1.5, 32.0),
        row("SZ3", "mosaic", 8, 1.6, 39.0, kind="bounded"),
        row("PNG", "image", 0, 2.8, None, kind="lossless"),
        row("xz -9e", "set", 0, 1.4, None, kind="lossless"),
    ]
    return {
        "date": "2026-01-01T00:00:00+00:00",
        "machine": {"cpu": "a <CPU>", "cores": 2, "system": "Linux"},
        "threads": {"torch": 1, "OMP_NUM_THREADS": None},
        "versions": {"python": "3.11.7"},
        "libraries": {"libjxl": "0.11"},
        "data": {"name": "a&b.npy", "shape": [1000, 28, 28, 1], "pixels_sha256": "0" * 64},
        "model": "mnist",
        "decoder_nbytes": {"latent_decoder": 596_244},
        "pca_fitted_on": "train.npy",
        "classifier": {"trained_on": 60_000, "asked_about": 1000, "originals": 0.99},
        "absent": ["brotli (pip install brotli)"],
        "left_out": [{"coder": "AVIF", "why": "too <small>"}],
        "rows": rows,
    }
