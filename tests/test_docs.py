"""What the documents say is run, or held against the code."""

import gzip
import os
import re
import runpy
import shlex
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from aecodec import cli, container
from aecodec.archive.array import Archive
from aecodec.archive.compress import encode
from aecodec.cli import exits, texts
from aecodec.cli.options import OutputPath
from aecodec.container import chunks, footer, header, index, sections
from aecodec.demo import load_sample

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SPEC = (ROOT / "formats" / "aez.md").read_text(encoding="utf-8")
USES = ("map", "generate", "denoise", "sheet")
COMMANDS = (
    "compress",
    "decompress",
    "info",
    "verify",
    "repair",
    "view",
    "train",
    "models",
    "bench",
    "demo",
    "completion",
    *USES,
)
GUIDES = ("pack-a-data-set", "train-your-own-model", "read-in-a-training-loop")
TELLING = ("Command line", "Data sets", "A model of your own", "Maps, generation, denoising")
DOCUMENTS = ("README.md", *(f"docs/{guide}.md" for guide in (*GUIDES, "write-with-many-processes")))
SAMPLE_IMAGES = 40  # the bench of the last example takes so many
# Blocks that install, download, or measure what bench/ has tests for.
NOT_RUN = ("pip install", "curl -LO", "python bench/")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def section(title):
    """A second-level section of README.md, its subsections included."""
    return re.split(r"^## ", README.split(f"\n## {title}\n")[1], flags=re.MULTILINE)[0]


def options(command, capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main([command, "--help"])
    return set(re.findall(r"--[a-z][a-z-]*", capsys.readouterr().out)) - {"--help"}


# ---------------------------------------------------------------- README: what it tells to type


def steps(text):
    """The blocks of a document that its reader runs, in order, with their languages."""
    return re.findall(r"^```(python|py|sh)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def is_run(step):
    """Whether a test runs a block of shell; one that trains all its steps takes hours."""
    trains = any("aecodec train" in line and "--steps 20 --" not in line for line in commands(step))
    return not trains and not any(words in step for words in NOT_RUN)


def commands(step):
    """The lines of a block that are commands of this package, without comments."""
    lines = [line.partition(" #")[0].strip() for line in step.splitlines()]
    return [line for line in lines if line.startswith("aecodec ")]


def run_shell(step, capsys):
    """Run the lines of a block, this package's commands in this process."""
    for line in step.splitlines():
        if not line.startswith("aecodec "):
            path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
            surroundings = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
            few = line.replace("[:200]", f"[:{SAMPLE_IMAGES}]")
            subprocess.run(["bash", "-c", few], check=True, env=surroundings)
            continue
        arguments = shlex.split(line, comments=True)[1:]
        expected = exits.EXIT_CORRUPT if "bad.aez" in arguments else 0
        assert cli.main(arguments) == expected, f"{line}: {capsys.readouterr().err}"


def run_steps(text, capsys):
    """Run a document's blocks in this folder, as a reader who pastes them; returns how many."""
    names, count = {}, 0  # the blocks of Python build on each other
    for language, step in steps(text):
        if language == "sh":
            if is_run(step):
                run_shell(step, capsys)
                count += 1
            continue
        if language == "py":
            pytest.importorskip("zarr")
        script = Path(f"step{count}.py")
        script.write_text(step, encoding="utf-8")
        names |= runpy.run_path(str(script), init_globals=names)
        count += 1
    return count


def write_idx(name, values):
    head = struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape)
    Path(name).write_bytes(gzip.compress(head + values.tobytes()))


def test_readme_runs_from_top_to_bottom(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_idx("t10k-images-idx3-ubyte.gz", load_sample()[:SAMPLE_IMAGES])
    write_idx("t10k-labels-idx1-ubyte.gz", np.arange(SAMPLE_IMAGES, dtype=np.uint8) % 10)
    assert run_steps(README, capsys) >= 10
    assert "cut" in capsys.readouterr().out  # of the error that a block of Python shows
    assert len(np.load("some.npz")["images"]) == 10
    assert len(np.load("rest.npz")["images"]) == 20  # a chunk of two is whole
    assert np.load("priced.npz")["price"].tolist() == [9.5] * SAMPLE_IMAGES
    assert np.load("bounded.npy").shape == (200, 28, 28)


def test_readme_writes_no_name_twice():
    lines = [
        line for language, step in steps(README) if language == "sh" for line in commands(step)
    ]
    parsed = [cli.build_parser().parse_args(shlex.split(line)[1:]) for line in lines]
    outputs = [
        os.path.normpath(value)
        for arguments in parsed
        for value in vars(arguments).values()
        if isinstance(value, OutputPath) and not getattr(arguments, "force", False)
    ]
    assert len(outputs) >= 20
    assert sorted(outputs) == sorted(set(outputs))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_blocks_can_be_pasted(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    assert set(re.findall(r"^```(\w+)$", text, re.MULTILINE)) <= {"sh", "python", "py", "text"}
    prompts = [step for _, step in steps(text) if re.search(r"^(\$|>>>|#|%) ", step, re.MULTILINE)]
    assert prompts == []


@pytest.mark.parametrize("guide", GUIDES)
def test_guides_run_from_top_to_bottom(guide, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run_steps((ROOT / "docs" / f"{guide}.md").read_text(encoding="utf-8"), capsys) >= 2


def test_examples_of_the_help_parse():
    for line in texts.example_lines():
        start = line.index("aecodec ")
        words = shlex.split(line[start:].split(" > ")[0].split(" | ")[0], comments=True)
        arguments = cli.build_parser().parse_args(words[1:])
        assert callable(arguments.run)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_has_examples(command, capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main([command, "--help"])
    assert f"examples:\n  aecodec {command}" in capsys.readouterr().out


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion(shell, capsys):
    pytest.importorskip("shtab")
    assert cli.main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert "decompress" in script
    assert "max-error" in script


def test_completion_is_sound_bash(tmp_path, capsys):
    pytest.importorskip("shtab")
    assert cli.main(["completion", "bash"]) == 0
    script = tmp_path / "completion.bash"
    script.write_text(capsys.readouterr().out, encoding="utf-8")
    line = (
        "source $0; COMP_WORDS=(aecodec comp); COMP_CWORD=1; _shtab_aecodec; echo ${COMPREPLY[@]}"
    )
    run = subprocess.run(["bash", "-c", line, script], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["compress", "completion"]


def test_completion_names_what_is_missing(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert cli.main(["completion", "bash"]) == 2
    assert "pip install 'aecodec[completion]'" in capsys.readouterr().err


def test_api_documentation_builds_without_a_warning(tmp_path):
    pytest.importorskip("pdoc")
    command = [sys.executable, ROOT / "docs" / "build_api.py", "-o", tmp_path / "api"]
    run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    page = (tmp_path / "api" / "aecodec" / "integrations" / "torch.html").read_text()
    assert "ChunkBatchSampler" in page


def test_training_examples_parse():
    examples = [block for block in blocks("sh") if "aecodec train" in block]
    assert len(examples) == 2
    for line in commands("".join(examples)):
        cli.build_parser().parse_args(shlex.split(line)[1:])


def test_ci_finds_the_test_command():
    pattern = re.search(r"grep -E '([^']+)' README\.md", (ROOT / ".ci" / "run").read_text())
    assert pattern is not None
    found = [line for line in README.splitlines() if re.search(pattern[1], line)]
    assert len(found) == 1
    assert "pip install -e '.[test]'" in found[0]


def test_ci_is_sound_bash():
    run = subprocess.run(["bash", "-n", ROOT / ".ci" / "run"], capture_output=True, check=False)
    assert run.returncode == 0, run.stderr


# ---------------------------------------------------------------- README: what it tells to know


@pytest.mark.parametrize("command", COMMANDS)
def test_options_are_documented(command, capsys):
    told = "".join(map(section, TELLING))
    missing = [name for name in options(command, capsys) if f"`{name}" not in told]
    assert missing == []


def test_documented_options_exist(capsys):
    known = {"--version", "--help"}.union(*(options(command, capsys) for command in COMMANDS))
    told = "".join(map(section, TELLING))
    assert set(re.findall(r"--[a-z][a-z-]*", told)) <= known


def test_exit_statuses_are_documented():
    table = section("Command line").split("### Exit status")[1]
    told = {int(n) for n in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)}
    assert told == {
        0,
        exits.EXIT_IO,
        exits.EXIT_USAGE,
        exits.EXIT_CORRUPT,
        exits.EXIT_UNSUPPORTED,
        exits.EXIT_MODEL,
        exits.EXIT_LEFT_OUT,
        exits.EXIT_HUNG_UP,
        exits.EXIT_INTERRUPTED,
        exits.EXIT_TERMINATED,
    }


def test_info_names_are_documented():
    row = re.search(r"^\| `info` \| (.*) \|$", README, re.MULTILINE)
    assert row is not None
    with Archive(encode(np.zeros((1, 8, 8), np.uint8), model="none")) as archive:
        assert re.findall(r"`(\w+)`", row[1]) == list(archive.info)


@pytest.mark.parametrize(
    "document",
    [
        "README.md",
        "aecodec/weights/README.md",
        "CHANGELOG.md",
        *(f"docs/{guide}.md" for guide in GUIDES),
    ],
)
def test_links_lead_somewhere(document):
    path = ROOT / document
    links = re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8"))
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_layout_names_files_that_exist():
    (layout,) = blocks("text")
    named = re.findall(r"\b[a-z]+(?:/[a-z]+)*(?:\.py\b|/)", layout)
    assert len(named) >= 10
    assert [name for name in named if not (ROOT / "aecodec" / name).exists()] == []


# ---------------------------------------------------------------- the specification


@pytest.mark.parametrize(
    "magic", [container.MAGIC, container.FOOTER_MAGIC, chunks.CHUNK_MARKER, sections.SECTION_MARKER]
)
def test_spec_spells_out_each_magic(magic):
    assert magic.hex(" ").upper() in SPEC


@pytest.mark.parametrize(
    "title",
    [
        f"## 3 Header, {header.HEADER_NBYTES} bytes",
        f"## 4 Sections, {sections.SECTION_FRAME_NBYTES} bytes",
        f"The head, {chunks.CHUNK_HEAD_NBYTES} bytes",
        f"the last {footer.FOOTER_NBYTES} bytes",
        f"Its payload has {index.INDEX_ENTRY_NBYTES}\nbytes for each chunk",
        f"At most {sections.MAX_SECTIONS} sections",
        f"8..{chunks.MAX_TABLE_NBYTES}",
    ],
)
def test_spec_tells_each_size(title):
    # the words around a number are free to move, within a line or over its end
    assert re.sub(r"\s+", " ", title).lower() in re.sub(r"\s+", " ", SPEC).lower()


@pytest.mark.parametrize("name", ["LATENTS", "REFINEMENT", "ZSTD", "ANS", "TONES"])
def test_spec_lists_each_flag(name):
    bit = getattr(container, f"FLAG_{name}").bit_length() - 1
    assert f"| {bit} | {name} |" in SPEC


@pytest.mark.parametrize(
    "name", ["STORED", "ZSTD", "LATENTS_ZSTD", "PIXELS_ANS", "PIXELS_DEQUANTIZED", "LATENTS_ANS"]
)
def test_spec_lists_each_mode(name):
    assert f"| {getattr(container, f'MODE_{name}')} | {name} |" in SPEC


@pytest.mark.parametrize(
    "kind", sorted(container.KNOWN_SECTIONS | {"META", "NAME", "MODL", "COLM"})
)
def test_spec_names_each_section(kind):
    assert f"`{kind}`" in SPEC
