"""One process of atheris for one target; started by fuzz.py.

python formats/fuzzing/guided.py TARGET TALLY.json [libFuzzer's options] CORPUS
"""

from __future__ import annotations

import fcntl
import json
import random
import signal
import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

with atheris.instrument_imports(include=["aecodec"], enable_loader_override=False):
    from fuzzing import mutating, targets

COUNTS = {"inputs": 0, targets.READ: 0, targets.REFUSED: 0}


def main() -> None:
    """Run atheris on one target, from the seeds if the corpus is empty, and add up the counts."""
    target, tally_path, *options = sys.argv[1:]
    corpus = Path(options[-1])
    seeds = targets.seeds(target)
    if not any(corpus.iterdir()):
        for i, data in enumerate(seeds):
            if len(data) <= mutating.MAX_NBYTES:
                (corpus / f"seed-{i:03}").write_bytes(data)
    mutate = targets.mutate(target, seeds)

    def one_input(data: bytes) -> None:
        outcome = targets.run(target, data)
        COUNTS["inputs"] += 1
        COUNTS[outcome] += 1

    def one_mutation(data: bytes, max_size: int, seed: int) -> bytes:
        if (
            random.Random(seed).random() < 0.1
        ):  # libFuzzer's own mutation, which uses the comparisons it saw
            return atheris.Mutate(data, max_size)
        return mutate(data, seed)[:max_size]

    atheris.Setup([sys.argv[0], *options], one_input, custom_mutator=one_mutation)
    import atexit

    atexit.register(add_up, target, Path(tally_path))
    atheris.Fuzz()


def add_up(target: str, path: Path) -> None:
    """Add the counts of this process to the file that all processes share."""
    signal.signal(signal.SIGALRM, signal.SIG_IGN)  # libFuzzer's alarm may still end the process
    with open(path, "a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        text = file.read()
        tally = json.loads(text) if text else {}
        mine = tally.setdefault(target, dict.fromkeys(COUNTS, 0))
        for key, count in COUNTS.items():
            mine[key] += count
        file.truncate(0)
        file.write(json.dumps(tally, indent=1))


if __name__ == "__main__":
    main()
