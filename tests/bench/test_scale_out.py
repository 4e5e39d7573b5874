"""The bench of several processes and the page on them: few images, real workers, one killed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("dask.distributed", reason="needs the extra dask")
pytest.importorskip("zarr", reason="needs the extra dask")

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))

import common
import scale_out

IMAGES = np.random.default_rng(0).integers(0, 256, (30, 8, 8), np.uint8)


def run(script: Path | str, *arguments: str, cwd: Path) -> str:
    """What a program prints, in a process of its own: workers import its main module again."""
    paths = [str(ROOT), str(ROOT / "bench"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    done = subprocess.run(
        [sys.executable, str(script), *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_bench_loses_nothing_with_a_worker_killed(tmp_path):
    np.save(tmp_path / "set.npy", IMAGES)
    options = ["--model", "none", "--count", "100", "--chunk", "10", "--kill-count", "100"]
    script = ROOT / "bench" / "scale_out.py"
    out = run(script, "set.npy", *options, "--results", str(tmp_path), cwd=tmp_path)
    result = json.loads((tmp_path / "scale_out.json").read_text())
    assert [row["workers"] for row in result["rows"]] == [1, 2]
    for row in result["rows"]:
        assert row["images"] == 100
        assert row["raw_nbytes"] == 6400
        assert row["psnr_db"] is None  # without loss
        assert row["write_images_per_s"] > 0
        assert row["read_images_per_s"] > 0
    assert result["killed"]["chunks_as_without_kill"] == result["killed"]["chunks"] == 10
    assert "a worker killed: 0 of 10 chunks lost" in out


def jobs_of(store: Path, source: Path) -> list[scale_out.Job]:
    codec = scale_out.AezCodec(model="none")
    return scale_out.make_jobs(store, source, 95, 10, codec)


def test_a_store_with_a_chunk_missing_is_seen(tmp_path):
    np.save(tmp_path / "set.npy", IMAGES)
    jobs = jobs_of(tmp_path / "x.zarr", tmp_path / "set.npy")
    assert [job.stop - job.start for job in jobs] == [10] * 9 + [5]
    written = [scale_out.write_images(job) for job in jobs]
    scale_out.require_whole(tmp_path / "x.zarr", jobs, written)
    np.testing.assert_array_equal(jobs[4].images(), IMAGES[10:20])
    count, digest, _ = scale_out.read_images(jobs[4])
    assert (count, digest) == (10, scale_out.read_images(jobs[1])[1])
    assert scale_out.measure_error(jobs[4]) == 0
    with pytest.raises(common.VerificationError, match="9 answers for 10 tasks"):
        scale_out.require_whole(tmp_path / "x.zarr", jobs, written[:-1])
    (chunk,) = (tmp_path / "x.zarr" / "c").glob("3/0/0")
    chunk.unlink()
    with pytest.raises(common.VerificationError, match="9 chunks of 10 are there"):
        scale_out.require_whole(tmp_path / "x.zarr", jobs, written)


def test_chunks_of_the_same_images_must_be_alike(tmp_path):
    np.save(tmp_path / "set.npy", IMAGES)
    jobs = jobs_of(tmp_path / "x.zarr", tmp_path / "set.npy")
    alike = scale_out.distinct(jobs, len(IMAGES))
    assert alike == {(0, 10): [0, 3, 6], (10, 10): [1, 4, 7], (20, 10): [2, 5, 8], (0, 5): [9]}
    digests = ["a", "b", "c"] * 3 + ["d"]
    digests[4] = "other"
    with pytest.raises(common.VerificationError, match="chunks of images 10 to 20 differ"):
        scale_out.squared_errors(None, jobs, digests, len(IMAGES))


def test_the_page_on_many_processes_runs(tmp_path):
    text = (ROOT / "docs" / "write-with-many-processes.md").read_text(encoding="utf-8")
    store, with_dask = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (tmp_path / "images_store.py").write_text(store, encoding="utf-8")
    (tmp_path / "with_dask.py").write_text(with_dask, encoding="utf-8")
    out = run("with_dask.py", cwd=tmp_path)
    assert "600 images written" in out
    assert "6 chunks of 600 images" in out


def test_every_recipe_of_the_page_compiles():
    text = (ROOT / "docs" / "write-with-many-processes.md").read_text(encoding="utf-8")
    recipes = re.findall(r"^```py(?:thon)?\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(recipes) == 4
    for recipe in recipes:
        compile(recipe, "recipe", "exec")
