"""Fuzz every reader of files and every command: guided by coverage with atheris, or at random.

    python formats/fuzz.py                       # every target for a minute
    python formats/fuzz.py --inputs 2000000 --jobs 2   # the long run, over all targets; resumes
    python formats/fuzz.py --target repair --seconds 600
    python formats/fuzz.py --report              # what has been tried, and reached
    python formats/fuzz.py --plain --inputs 5000 # no atheris: the same mutations, at random

All but --plain needs the extra ``fuzz`` (atheris, Linux). Inputs that reach new code are kept in
--folder, and a later run goes on from them. A finding is any exception but AezError, an output
that is not whole, anything touched besides the output, or more CPU time or memory than
fuzzing/targets.py allows. At the first one the run leaves the input in the folder and exits with 1.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACKAGE = HERE.parent / "aecodec"
# The share of each target in all inputs, those first whose inputs take longest in all. Targets that
# run networks or whole commands are slow and get fewer.
SHARES = {
    "decode": 0.006,
    "folder": 0.02,
    "repair": 0.08,
    "info": 0.26,
    "command": 0.006,
    "arrays": 0.015,
    "store": 0.015,
    "verify": 0.22,
    "url": 0.004,
    "view": 0.003,
    "model": 0.04,
    "page": 0.05,
    "sheet": 0.0005,
    "map": 0.0005,
    "symbols": 0.14,
    "column": 0.14,
}
PARTS = {  # the rows of the report: modules that read, most of which write as well
    "`container`": ["container/*.py"],
    "`archive`, `annotations`, `io/untrusted`": [
        "archive/array.py",
        "archive/decompress.py",
        "archive/facts.py",
        "archive/head.py",
        "archive/outputs.py",
        "archive/parts.py",
        "archive/repair.py",
        "archive/salvage.py",
        "archive/sections.py",
        "archive/source.py",
        "archive/verify.py",
        "annotations/*.py",
        "io/untrusted.py",
    ],
    "`cli`, `view`, `images`, what writes and tells": [
        "cli/decompress.py",
        "cli/info.py",
        "cli/repair.py",
        "cli/verify.py",
        "cli/view.py",
        "images/folders.py",
        "images/metadata.py",
        "images/npz.py",
        "view/*.py",
        "uses/page.py",
    ],
    "`integrations`, `io/remote`": [
        "integrations/array_chunks.py",
        "integrations/numcodecs.py",
        "integrations/zarr.py",
        "io/remote.py",
    ],
    "`codec/decode`, `models`": ["codec/decode.py", "models/*.py"],
    "`entropy`": ["entropy/*.py"],
    "`nets`, what decodes": [
        "nets/dequantizer.py",
        "nets/exactness.py",
        "nets/latent_decoder.py",
        "nets/latent_prior.py",
        "nets/layers.py",
        "nets/pixel_model.py",
        "nets/planes.py",
    ],
    "`latents`, `pixels`, what decodes": [
        "latents/coders.py",
        "latents/layer.py",
        "latents/prior.py",
        "pixels/*.py",
    ],
}
INPUT_S, MEMORY_MB = 120, 3072  # of a process, for what its own measures do not see
RUN_INPUTS = 20_000  # of one process, which writes its tally when it ends
MAX_NBYTES = 1 << 18
# Freed memory goes back to the system at once, so that every input's own peak shows.
ENVIRONMENT = {
    **os.environ,
    "MALLOC_MMAP_THRESHOLD_": "131072",
    "MALLOC_TRIM_THRESHOLD_": "131072",
    "OMP_NUM_THREADS": "1",
}


def main() -> int:
    """Run the command line; the exit status, 1 for a finding."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", choices=sorted(SHARES), help="one alone")
    parser.add_argument("--inputs", type=int, help="tried in all, those of earlier runs counted")
    parser.add_argument(
        "--seconds", type=float, default=60, help="of each target, without --inputs"
    )
    parser.add_argument("--folder", type=Path, default=Path("fuzzing-corpus"))
    parser.add_argument("--jobs", type=int, default=1, help="targets fuzzed at once (1)")
    parser.add_argument("--plain", action="store_true", help="without atheris")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--report", action="store_true", help="tables of what earlier runs did")
    a = parser.parse_args()
    targets = [a.target] if a.target else list(SHARES)
    if a.plain:
        return _run_plain(targets, a.inputs or 1000, a.seed)
    if a.report:
        print(report(a.folder))
        return 0
    a.folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(max(1, a.jobs)) as pool:  # each waits for processes
        statuses = list(pool.map(lambda target: _run_guided(target, a), targets))
    if any(statuses):
        return max(statuses)
    print(json.dumps(tally(a.folder)))
    return 0


def tally(folder: Path) -> dict[str, dict[str, int]]:
    """By target, the numbers of inputs that earlier runs tried, read and refused."""
    path = folder / "tally.json"
    return json.loads(path.read_text()) if path.exists() else {}  # type: ignore[no-any-return]


def report(folder: Path) -> str:
    """Tables of inputs by target, and of lines that the kept inputs reach; needs coverage."""
    import coverage

    measured = coverage.Coverage(data_file=None, include=["*/aecodec/*"])
    measured.start()
    from fuzzing import targets as fuzzed

    kept = {}
    for target in fuzzed.TARGETS:
        paths = sorted((folder / target).glob("*")) if (folder / target).is_dir() else []
        kept[target] = len(paths)
        for path in paths:
            fuzzed.run(target, path.read_bytes())
    measured.stop()
    rows = ["| target | inputs | read | refused | kept |", "| --- | ---: | ---: | ---: | ---: |"]
    for target, counts in tally(folder).items():
        numbers = [counts["inputs"], counts["read"], counts["refused"], kept[target]]
        rows.append(f"| `{target}` | " + " | ".join(f"{n:,}" for n in numbers) + " |")
    rows += ["", "| lines of | reached | of |", "| --- | ---: | ---: |"]
    for name, paths in PARTS.items():
        reached = total = 0
        for path in (each for pattern in paths for each in sorted(PACKAGE.glob(pattern))):
            _, lines, _, missing, _ = measured.analysis2(str(path))
            reached, total = reached + len(lines) - len(missing), total + len(lines)
        rows.append(f"| {name} | {100 * reached / total:.0f} % | {total:,} |")
    return "\n".join(rows)


def _run_plain(targets: list[str], inputs: int, seed: int) -> int:
    from fuzzing import targets as fuzzed

    for target in targets:
        seeds = fuzzed.seeds(target)
        outcomes = {fuzzed.READ: 0, fuzzed.REFUSED: 0}
        share = SHARES[target] / sum(SHARES[each] for each in targets)
        mutate = fuzzed.mutate(target, seeds)
        for n in range(max(1, round(inputs * share))):
            rng = random.Random(f"{target} {seed} {n}")
            data = mutate(rng.choice(seeds), rng.randrange(1 << 32))
            outcomes[fuzzed.run(target, data)] += 1
        print(f"{target}: {outcomes}")
    return 0


def _run_guided(target: str, a: argparse.Namespace) -> int:
    """Run processes of atheris one after the other until the inputs or the seconds are used up."""
    start = time.monotonic()
    while True:
        done = tally(a.folder).get(target, {}).get("inputs", 0)
        left = time.monotonic() - start < a.seconds
        runs = RUN_INPUTS
        if a.inputs:
            runs = min(runs, round(a.inputs * SHARES[target]) - done)
            left = runs > 0
        if not left:
            return 0
        corpus = a.folder / target
        corpus.mkdir(exist_ok=True)
        command = [
            sys.executable,
            str(HERE / "fuzzing" / "guided.py"),
            target,
            str(a.folder / "tally.json"),
            f"-atheris_runs={runs}",
            f"-seed={a.seed + done + 1}",
            f"-max_len={MAX_NBYTES}",
            "-mutate_depth=1",  # each mutation sets the checksums right again: one is enough
            f"-timeout={INPUT_S}",
            f"-rss_limit_mb={MEMORY_MB}",
            f"-artifact_prefix={a.folder}/{target}-finding-",
            "-verbosity=0",
            "-len_control=0",
            "-detect_leaks=0",
            str(corpus),
        ]
        if not a.inputs:
            command.insert(-1, f"-max_total_time={max(1, int(a.seconds))}")
        if status := subprocess.run(command, check=False, env=ENVIRONMENT).returncode:
            if list(a.folder.glob(f"{target}-finding-*")):
                print(f"a finding: see {a.folder}/{target}-finding-*", file=sys.stderr)
                return 1
            if status != -signal.SIGALRM:
                print(f"the process ended with {status}, and without a finding", file=sys.stderr)
                return 1
            # libFuzzer's alarm ended it: its inputs are not counted, and are tried again


if __name__ == "__main__":
    sys.exit(main())
