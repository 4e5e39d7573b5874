"""Dask over a Zarr store of .aez chunks: images a second by workers, and a worker killed midway.

Each task writes or reads whole chunks, so that doing one again does no harm: what a killed worker
had begun, another does again. The images are those of IN over and over, so every chunk of the same
ones must come back the same; each different one is compared with its originals.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import signal
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import dask
import numpy as np
import zarr
from common import (
    VerificationError,
    add_result_options,
    facts,
    format_table,
    load_images,
    rounded,
    write_result,
)
from dask.distributed import Client, LocalCluster, as_completed

from aecodec.arrays import Images
from aecodec.codec.choosing import NO_MODEL
from aecodec.integrations.zarr import AezCodec
from aecodec.measures.metrics import psnr_db, squared_error

COUNT, KILL_COUNT, CHUNK_IMAGES = 1_000_000, 200_000, 10_000
KILL_AFTER = 0.3  # of the tasks are done
RETRIES = 3


@dataclass(frozen=True)
class Job:
    """A range of images of the store at ``store``, tiled from the .npy at ``source``."""

    store: str
    source: str
    start: int
    stop: int

    def images(self) -> Images:
        """uint8 (n, H, W) or (n, H, W, C), as the source has them."""
        originals = np.load(self.source, mmap_mode="r")
        return np.asarray(originals[np.arange(self.start, self.stop) % len(originals)])


def write_images(job: Job) -> tuple[int, int]:
    """(images written, process)."""
    zarr.open_array(job.store, mode="r+")[job.start : job.stop] = job.images()
    return job.stop - job.start, os.getpid()


def read_images(job: Job) -> tuple[int, str, int]:
    """(images read, SHA-256 of their pixels, process)."""
    images = np.asarray(zarr.open_array(job.store, mode="r")[job.start : job.stop])
    return len(images), hashlib.sha256(np.ascontiguousarray(images).data).hexdigest(), os.getpid()


def measure_error(job: Job) -> int:
    """Sum of squared errors of a range."""
    images = np.asarray(zarr.open_array(job.store, mode="r")[job.start : job.stop])
    return int(squared_error(job.images()[..., None], images[..., None]).sum())


def make_jobs(
    store: Path, source: Path, count: int, chunk_images: int, codec: AezCodec
) -> list[Job]:
    """A new store, and its ranges, a chunk each."""
    shape = np.load(source, mmap_mode="r").shape[1:]
    zarr.create_array(
        store,
        shape=(count, *shape),
        chunks=(chunk_images, *shape),
        dtype="uint8",
        serializer=codec,
        compressors=None,
    )
    starts = range(0, count, chunk_images)
    return [Job(str(store), str(source), i, min(i + chunk_images, count)) for i in starts]


def open_cluster(workers: int, folder: Path) -> LocalCluster:
    """Worker processes of one thread on this machine; no dashboard."""
    dask.config.set({"distributed.admin.large-graph-warning-threshold": "1GB"})
    return LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=True,
        dashboard_address=None,
        worker_dashboard_address=None,
        local_directory=str(folder),
    )


def distinct(jobs: Sequence[Job], period: int) -> dict[tuple[int, int], list[int]]:
    """Numbers of the jobs on the same images, by where those begin and how many they are."""
    alike: dict[tuple[int, int], list[int]] = {}
    for number, job in enumerate(jobs):
        alike.setdefault((job.start % period, job.stop - job.start), []).append(number)
    return alike


def squared_errors(client: Client, jobs: Sequence[Job], digests: Sequence[str], period: int) -> int:
    """Of all images, from one job for each different range; VerificationError if others differ."""
    alike = distinct(jobs, period)
    for (start, count), numbers in alike.items():
        if len({digests[number] for number in numbers}) != 1:
            raise VerificationError(f"chunks of images {start} to {start + count} differ")
    errors, _ = run_jobs(client, measure_error, [jobs[numbers[0]] for numbers in alike.values()])
    return sum(e * len(numbers) for e, numbers in zip(errors, alike.values(), strict=True))


def run_jobs(
    client: Client, work: Callable[[Job], Any], jobs: Sequence[Job]
) -> tuple[list[Any], float]:
    """Results in order, and seconds."""
    start = time.perf_counter()
    futures = client.map(work, jobs, retries=RETRIES, pure=False)
    return client.gather(futures), time.perf_counter() - start


def run_with_kill(client: Client, jobs: Sequence[Job]) -> tuple[list[Any], int]:
    """Write, and kill -9 the worker that has done most once ``KILL_AFTER`` is done."""
    futures = client.map(write_images, jobs, retries=RETRIES, pure=False)
    done: list[int] = []
    killed = 0
    for _, result in as_completed(futures, with_results=True):
        done.append(result[1])
        if not killed and len(done) >= KILL_AFTER * len(jobs):
            busy = {info["pid"] for info in client.run(_process_facts).values()}
            killed = max(busy, key=done.count)
            os.kill(killed, signal.SIGKILL)
    return client.gather(futures), killed


def _process_facts() -> dict[str, int]:
    return {"pid": os.getpid()}


def require_whole(store: Path, jobs: Sequence[Job], results: Sequence[Any]) -> None:
    """VerificationError unless each job has answered and each chunk is there."""
    expected = [job.stop - job.start for job in jobs]
    if [result[0] for result in results] != expected:
        raise VerificationError(f"{store.name}: {len(results)} answers for {len(jobs)} tasks")
    array = zarr.open_array(store, mode="r")
    if array.nchunks_initialized != array.nchunks:
        raise VerificationError(
            f"{store.name}: {array.nchunks_initialized} chunks of {array.nchunks} are there"
        )


def speed_row(
    folder: Path, source: Path, workers: int, count: int, chunk_images: int, codec: AezCodec
) -> tuple[dict[str, Any], list[str]]:
    """Speeds with so many workers, and what each chunk decodes to."""
    store = folder / f"{workers}-workers.zarr"
    jobs = make_jobs(store, source, count, chunk_images, codec)
    with open_cluster(workers, folder) as cluster, Client(cluster) as client:
        spare = make_jobs(folder / f"warm-{workers}.zarr", source, 8, 8, codec)
        for _ in range(workers):  # models loaded, torch imported
            client.gather(
                [
                    client.submit(write_images, spare[0], workers=[w], pure=False)
                    for w in client.scheduler_info()["workers"]
                ]
            )
        written, write_s = run_jobs(client, write_images, jobs)
        require_whole(store, jobs, written)
        read, read_s = run_jobs(client, read_images, jobs)
        require_whole(store, jobs, read)
        originals = np.load(source, mmap_mode="r")
        squares = squared_errors(client, jobs, [result[1] for result in read], len(originals))
    nbytes = sum(path.stat().st_size for path in store.rglob("*") if path.is_file())
    samples = count * int(np.prod(originals.shape[1:]))
    row = {
        "workers": workers,
        "processes_used": len({result[1] for result in written}),
        "images": count,
        "write_images_per_s": count / write_s,
        "read_images_per_s": count / read_s,
        "store_nbytes": nbytes,
        "raw_nbytes": samples,
        "psnr_db": psnr_db(squares, samples) if squares else None,
    }
    return row, [result[1] for result in read]


def kill_row(
    folder: Path, source: Path, count: int, chunk_images: int, codec: AezCodec, digests: list[str]
) -> dict[str, Any]:
    """Two workers, one of them killed; VerificationError unless the store is as without that."""
    store = folder / "killed.zarr"
    jobs = make_jobs(store, source, count, chunk_images, codec)
    with open_cluster(2, folder) as cluster, Client(cluster) as client:
        written, killed = run_with_kill(client, jobs)
        require_whole(store, jobs, written)
        alive = {info["pid"] for info in client.run(_process_facts).values()}
        read, _ = run_jobs(client, read_images, jobs)
    whole = [
        result[1]
        for result, job in zip(read, jobs, strict=True)
        if job.stop - job.start == chunk_images
    ]
    if not killed or killed in alive:
        raise VerificationError("no worker was killed")
    if whole != digests[: len(whole)]:
        raise VerificationError("chunks differ from those written without a killed worker")
    return {
        "images": count,
        "chunks": len(jobs),
        "killed_after_chunks": int(np.ceil(KILL_AFTER * len(jobs))),
        "chunks_as_without_kill": len(whole),
        "chunks_lost": 0,
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run the bench on the command line's arguments; print and write its result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("input", metavar="IN", help="gray images that are tiled")
    parser.add_argument("--model", required=True)
    parser.add_argument("--quality", type=float, default=5.0)
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--kill-count", type=int, default=KILL_COUNT, help="0: kill none")
    parser.add_argument("--chunk", type=int, default=CHUNK_IMAGES)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    add_result_options(parser, "scale_out")
    a = parser.parse_args(argv)
    images = load_images(a.input)[..., 0]
    codec = AezCodec(model=a.model, quality=None if a.model == NO_MODEL else a.quality)
    result: dict[str, Any] = {
        **facts(Path(a.input).name, images[..., None]),
        "packages": {package: version(package) for package in ("dask", "distributed", "zarr")},
        "model": a.model,
        "quality": a.quality,
        "chunk_images": a.chunk,
        "rows": [],
        "killed": None,
    }
    with tempfile.TemporaryDirectory(prefix="aecodec-scale-out-") as name:
        folder = Path(name)
        source = folder / "images.npy"
        np.save(source, images)
        for workers in a.workers:
            row, digests = speed_row(folder, source, workers, a.count, a.chunk, codec)
            result["rows"].append(row)
            print(_table([row]), flush=True)
            write_result(a.name, result, a.results)  # what there is, should the rest not come
        if a.kill_count:
            killed = kill_row(folder, source, a.kill_count, a.chunk, codec, digests)
            result["killed"] = killed
            print(f"a worker killed: {killed['chunks_lost']} of {killed['chunks']} chunks lost")
    print(_table(result["rows"]))
    print(write_result(a.name, result, a.results))
    return 0


def _table(rows: Sequence[dict[str, Any]]) -> str:
    head = ["workers", "images", "write img/s", "read img/s", "bytes", "PSNR dB"]
    return format_table(
        head,
        [
            [
                str(row["workers"]),
                f"{row['images']:,}",
                rounded(row["write_images_per_s"]),
                rounded(row["read_images_per_s"]),
                f"{row['store_nbytes']:,}",
                "-" if row["psnr_db"] is None else f"{row['psnr_db']:.2f}",
            ]
            for row in rows
        ],
    )


if __name__ == "__main__":
    raise SystemExit(main())
