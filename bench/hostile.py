"""What hostile files cost: status, CPU seconds, memory and bytes written of every command.

    python bench/hostile.py                        # files of every kind, made anew
    python bench/hostile.py FOLDER                 # the .aez and .safetensors files of a folder
    python bench/hostile.py --kind names --kind embedded --command repair

Each command runs in a process of its own, forked from one that has imported everything, so that
start-up is not measured. Memory is its peak over that of the same command on a small sound file,
less what it wrote. Time is CPU seconds over those of the sound file. Kinds that grow are measured
in three sizes, n, 2n and 4n. Linux only. Exits with 1 if a promise of SECURITY.md does not hold.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from common import ROOT, add_result_options, commit, format_markdown, write_result
from forked import Outcome, import_all, run_forked, written_by_fork

sys.path.insert(0, str(ROOT / "formats"))

from making.hostile import KINDS, Kind, sound_file  # type: ignore[import-not-found]
from making.hostile.kind import PLAIN  # type: ignore[import-not-found]

from aecodec.benchmark.facts import PACKAGES, machine, versions

MOST_NBYTES = 64 << 20  # over an idle process and what is written
CPU_LIMIT_S = 30
STATUSES = {0, 3, 4, 6}
TOO_FEW = 2  # map and sheet need some images of some size, which is said as a mistake of usage
MANY = 100_000
FEW = "0:20000"  # as pictures: a million of them take minutes, as anywhere
SIZES = (4, 2, 1)  # of a kind that grows: n, 2n, 4n
GROUPS = {  # of kinds, by what their names begin with
    "META, a chunk lost": "META",
    "NAME": "names",
    "names, a chunk lost": "names",
    "column called": "columns",
    "column": "columns",
    **dict.fromkeys(
        [
            "images of one pixel", "chunks of an image", "chunks, every second lost",
            "one black image", "one image of noise", "one chunk as told", "declared images",
            "declared sides", "declared images in chunks", "runs", "heads without payloads",
            "constant latents", "zstd windows", "zstd of more",
        ],
        "chunks and payloads",
    ),
    **dict.fromkeys(
        [
            "a cut file", "markers of chunks", "markers of sections", "markers of both",
            "markers, no header", "heads that overlap", "frames that overlap",
            "indices that overlap", "copies of no header", "frames in frames", "sections",
            "files in files", "a long index", "zeros behind", "gaps of ordinals", "a far ordinal",
        ],
        "markers and records over each other",
    ),
    "embedded": "embedded models",
    "model": "model files",
}  # fmt: skip
RATIO, NOISE_S = 8.0, 0.3  # a time that grows by more than this is not linear

COMMANDS: dict[str, list[str]] = {
    "info": ["info", "IN"],
    "info --json": ["info", "--json", "IN"],
    "verify": ["verify", "IN"],
    "verify --full": ["verify", "--full", "IN"],
    "repair": ["repair", "IN", "-o", "OUT.aez"],
    "to npy": ["decompress", "IN", "-o", "OUT.npy"],
    "to npz": ["decompress", "IN", "-o", "OUT.npz"],
    "to folder": ["decompress", "IN", "--to", "folder", "-o", "OUT"],
    "skip to npy": ["decompress", "--skip-damaged", "IN", "-o", "OUT.npy"],
    "skip to folder": ["decompress", "--skip-damaged", "IN", "--to", "folder", "-o", "OUT"],
    "view": ["view", "IN", "-o", "OUT.html"],
    "map": ["map", "IN", "-o", "OUT.html", "--steps", "1"],
    "sheet": ["sheet", "IN", "--against", "SOUND.npy", "-o", "OUT.png"],
}
MODEL_COMMANDS: dict[str, list[str]] = {
    "verify by it": ["verify", "--full", "SOUND", "--model", "IN"],
    "compress by it": ["compress", "SOUND.npy", "--model", "IN", "-o", "OUT.aez"],
    "map by it": ["map", "SOUND.npy", "--model", "IN", "-o", "OUT.npy", "--steps", "1"],
}
WITHOUT_MODEL = {5}  # a model that is damaged, or not the one that the file needs


@dataclass
class Row:
    """One command on one file: what it cost over the sound file, and which promises it broke."""

    kind: str
    command: str
    size: int
    nbytes: int
    status: int
    cpu_s: float
    over_idle_nbytes: int
    written_nbytes: int
    says: str
    broken: list[str] = field(default_factory=list)


class Bench:
    """Runs commands on files in a folder of its own, and compares them with a sound file."""

    def __init__(self, folder: Path) -> None:
        import numpy as np

        self.folder = folder
        self._idle: dict[tuple[str, str], Outcome] = {}
        np.save(folder / "SOUND.npy", np.zeros((40, 2, 2), np.uint8))

    def run(self, name: str, template: Sequence[str], path: Path, sound: Path) -> Outcome:
        """One command on one file; what it writes is counted and removed."""
        places = {"IN": str(path), "SOUND": str(sound), "SOUND.npy": str(self.folder / "SOUND.npy")}
        output = self.folder / "output"
        output.mkdir()
        words = [places.get(word, word) for word in template]
        words = [str(output / word) if word.startswith("OUT") else word for word in words]
        return run_forked(words, output, cpu_limit_s=CPU_LIMIT_S)

    def idle(self, name: str, template: Sequence[str], loads: str) -> Outcome:
        """The same command on a sound file."""
        if (name, loads) not in self._idle:
            path = self.folder / f"sound-{loads}.aez"
            if not path.exists():
                path.write_bytes(sound_file(loads))
            if name in MODEL_COMMANDS:  # beside no model at all
                template = ["none" if word == "IN" else word for word in template]
            self._idle[name, loads] = self.run(name, template, path, path)
        return self._idle[name, loads]

    def measure(self, kind: Kind, size: int, path: Path, names: Sequence[str]) -> Iterator[Row]:
        """Every command on a file."""
        is_model = kind.suffix == ".safetensors"
        commands = MODEL_COMMANDS if is_model else COMMANDS
        nbytes = path.stat().st_size
        for name, template in commands.items():
            if names and name not in names:
                continue
            if kind.many and "folder" in name:
                template = [*template, "--images", FEW]
            idle = self.idle(name, template, kind.loads)
            sound = self.folder / f"sound-{kind.loads}.aez"
            done = self.run(name, template, path, sound)
            over, cpu_s = self._over(done, idle, nbytes if is_model else 0)
            if over > MOST_NBYTES:  # once more: the least of two
                done = min(
                    done, self.run(name, template, path, sound), key=lambda o: o.grown_nbytes
                )
                over, cpu_s = self._over(done, idle, nbytes if is_model else 0)
            row = Row(
                kind.name, name, size, nbytes, done.status, cpu_s, over, done.written_nbytes,
                done.says,
            )  # fmt: skip
            row.broken = list(_broken(row, done, kind))
            yield row

    @staticmethod
    def _over(done: Outcome, idle: Outcome, model_nbytes: int) -> tuple[int, float]:
        """Memory and CPU time over an idle process, which has the model loaded that is named."""
        over = done.grown_nbytes - max(0, idle.grown_nbytes) - done.written_nbytes - model_nbytes
        return max(0, over), max(0.0, round(done.cpu_s - idle.cpu_s, 3))


def _broken(row: Row, done: Outcome, kind: Kind) -> Iterator[str]:
    """The promises that one run broke."""
    allowed = STATUSES | (WITHOUT_MODEL if kind.suffix == ".safetensors" else set())
    allowed |= WITHOUT_MODEL if "embedded" in kind.name or not kind.about else set()
    allowed |= {TOO_FEW} if row.command in ("map", "sheet") else set()
    if done.has_traceback:
        yield "a traceback"
    elif row.status not in allowed:
        yield f"status {row.status}"
    if kind.keeps_all and row.status not in (0, 6) and row.command not in ("map", "sheet"):
        yield f"status {row.status} of a file that is sound"
    if row.over_idle_nbytes > MOST_NBYTES:
        yield f"{row.over_idle_nbytes >> 20} MiB"
    if done.left_behind:
        yield f"left {done.left_behind[0]}"
    if row.command == "info --json" and row.status == 0 and not done.is_json:
        yield "what it printed is no JSON"


def not_linear(rows: Sequence[Row]) -> Iterator[tuple[Row, str]]:
    """Commands whose time or memory grew faster than the file: the row of the largest size."""
    by_command: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        by_command.setdefault((row.kind, row.command), []).append(row)
    for sizes in by_command.values():
        first, last = sizes[0], sizes[-1]
        growth = max(last.size / max(1, first.size), last.nbytes / max(1, first.nbytes))
        if last.size > first.size and last.cpu_s > NOISE_S + RATIO / 4 * growth * first.cpu_s:
            yield last, f"{first.cpu_s:.2f} s, then {last.cpu_s:.2f} s for {growth:.0f} times"


def table(rows: Sequence[Row]) -> str:
    """A row for each kind, of its largest file: the commands that cost most."""
    head = ["file", "bytes", "most memory, MiB", "by", "most CPU, s", "by", "statuses", "broken"]
    lines = []
    for kind in dict.fromkeys(row.kind for row in rows):
        own = [row for row in rows if row.kind == kind]
        largest = [row for row in own if row.size == own[-1].size]
        memory = max(largest, key=lambda row: row.over_idle_nbytes)
        time = max(largest, key=lambda row: row.cpu_s)
        broken = [f"{row.command}: {text}" for row in own for text in row.broken]
        lines.append(
            [
                kind,
                f"{largest[0].nbytes:,}",
                f"{memory.over_idle_nbytes / 2**20:.0f}",
                memory.command,
                f"{time.cpu_s:.2f}",
                time.command,
                " ".join(str(status) for status in sorted({row.status for row in own})),
                "; ".join(broken) or "-",
            ]
        )
    return str(format_markdown(head, lines))


Make = Callable[[], bytes]


def grouped(rows: Sequence[Row]) -> str:
    """A row for each group of kinds, those whose names begin alike: SECURITY.md has this table."""
    head = ["files", "kinds", "bytes of the largest", "most memory, MiB", "most CPU, s", "statuses"]
    groups: dict[str, list[Row]] = {}
    for row in rows:
        begin = row.kind.split(":")[0]
        groups.setdefault(GROUPS.get(begin, begin), []).append(row)
    lines = []
    for name, own in groups.items():
        memory = max(own, key=lambda row: row.over_idle_nbytes)
        time = max(own, key=lambda row: row.cpu_s)
        lines.append(
            [
                name,
                str(len({row.kind for row in own})),
                f"{max(row.nbytes for row in own):,}",
                f"{memory.over_idle_nbytes / 2**20:.0f} (`{memory.command}`)",
                f"{time.cpu_s:.1f} (`{time.command}`, {time.nbytes:,} bytes)",
                " ".join(str(status) for status in sorted({row.status for row in own})),
            ]
        )
    return str(format_markdown(head, lines))


def made(names: Sequence[str]) -> Iterator[tuple[Kind, int, Make]]:
    """The kinds whose names begin so, in their sizes, and what makes each file."""
    for kind in KINDS.values():
        if names and not any(kind.name.startswith(name) for name in names):
            continue
        for part in SIZES if kind.grows else SIZES[-1:]:
            size = math.ceil(kind.size / part)
            yield kind, size, partial(kind.make, size)


def found(folder: Path) -> Iterator[tuple[Kind, int, Make]]:
    """The files of a folder."""
    for path in sorted(folder.iterdir()):
        if path.suffix in (".aez", ".safetensors"):
            data = path.read_bytes()
            many = path.suffix == ".aez" and _image_count(data) > MANY
            kind = Kind(path.name, "", lambda _: b"", loads=PLAIN, suffix=path.suffix, many=many)
            yield kind, 1, path.read_bytes


def _image_count(data: bytes) -> int:
    """How many images a file says it has; 0 for one that does not open."""
    import aecodec

    try:
        with aecodec.open(data) as archive:
            return len(archive)
    except aecodec.AezError:
        return 0


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", nargs="?", type=Path, help="of files; default: made anew")
    parser.add_argument("--kind", action="append", default=[], help="names that begin so")
    parser.add_argument(
        "--command", action="append", default=[], choices=[*COMMANDS, *MODEL_COMMANDS]
    )
    parser.add_argument("--largest", action="store_true", help="without the smaller sizes")
    parser.add_argument("--keep", type=Path, help="a folder to write the files to")
    add_result_options(parser, "hostile")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the bench on the command line's arguments; print and write its result."""
    a = parse_arguments(argv)
    if not os.access("/proc/self/clear_refs", os.W_OK):
        raise SystemExit("no /proc/self/clear_refs: this bench needs Linux")
    import_all()
    rows: list[Row] = []
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None  # no disk, so that little is waited
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        bench = Bench(Path(folder))
        for kind, size, make in found(a.folder) if a.folder else made(a.kind):
            if a.largest and size != kind.size:
                continue
            path = Path(folder) / f"in{kind.suffix}"
            written_by_fork(path, make)
            if a.keep:
                a.keep.mkdir(exist_ok=True)
                name = kind.name.replace(" ", "-").replace("/", "-").replace(":", "")
                kept = a.keep / f"{name.removesuffix(kind.suffix)}-{size}{kind.suffix}"
                shutil.copyfile(path, kept)
            for row in bench.measure(kind, size, path, a.command):
                rows.append(row)
                _say(row)
    for row, text in not_linear(rows):
        row.broken.append(text)
    print(table(rows))
    print(grouped(rows))
    result = {
        "commit": commit(), "machine": machine(), "versions": versions(PACKAGES),
        "most_nbytes": MOST_NBYTES, "rows": [_kept(row) for row in rows],
    }  # fmt: skip
    write_result(a.name, result, a.results)
    broken = [row for row in rows if row.broken]
    print(f"{len(rows):,} runs, {len(broken)} that break a promise", file=sys.stderr)
    for row in broken:
        print(f"  {row.kind}, {row.command}: {'; '.join(row.broken)}: {row.says}", file=sys.stderr)
    return 1 if broken else 0


def _kept(row: Row) -> dict[str, object]:
    """What the result file has of a row: what a command said only where it broke a promise."""
    kept = asdict(row)
    return kept if row.broken else {**kept, "says": ""}


def _say(row: Row) -> None:
    text = f"{row.kind:36} {row.size:>11,} {row.command:15} {row.status:4} {row.cpu_s:7.2f} s"
    text += f" {row.over_idle_nbytes / 2**20:7.1f} MiB {row.written_nbytes:>11,} written"
    print(f"{text}  {'; '.join(row.broken)}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
