"""formats/aez.ksy, compiled by the Kaitai Struct compiler, reads every vector as our reader does.

The compiler is the npm package ``kaitai-struct-compiler``. It is looked for in the folder that
$AECODEC_KAITAI names (one that ``npm install`` has filled); without that variable it is installed
into pytest's cache, where node and npm are there and the registry answers. Else the tests skip.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from test_vectors import BAD, GOOD, VECTORS

from aecodec import container

kaitaistruct = pytest.importorskip("kaitaistruct", reason="kaitaistruct is not installed")

KSY = VECTORS.parent / "aez.ksy"
PACKAGES = ("kaitai-struct-compiler@0.11.0", "js-yaml@4.1.0")
QUICKLY = ("--fetch-retries=0", "--fetch-timeout=20000", "--no-audit", "--no-fund")
COMPILE = """
const fs = require('fs');
const [, ksy, folder] = process.argv;
const source = require('js-yaml').load(fs.readFileSync(ksy, 'utf8'));
require('kaitai-struct-compiler').compile('python', source, null, false).then(files => {
  for (const name in files) fs.writeFileSync(folder + '/' + name, files[name]);
}).catch(error => { console.error(String(error)); process.exit(1); });
"""


def find_compiler(cache: Path) -> Path:
    """A folder whose node_modules holds the compiler; skips with the reason where there is none."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    named = os.environ.get("AECODEC_KAITAI")
    if named:
        return Path(named)
    if (cache / "node_modules" / "kaitai-struct-compiler").is_dir():
        return cache
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed, and $AECODEC_KAITAI names no folder with the compiler")
    command = [npm, "install", *QUICKLY, "--ignore-scripts", "--prefix", str(cache), *PACKAGES]
    try:
        run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    except subprocess.TimeoutExpired:
        pytest.skip("npm did not fetch the compiler within two minutes")
    if run.returncode:
        pytest.skip(f"npm could not fetch the compiler: {run.stderr.strip()[-300:]}")
    return cache


@pytest.fixture(scope="module")
def aez(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The class that the compiler makes of aez.ksy."""
    cache = getattr(pytestconfig, "cache", None)  # pytest may run without one
    folder = find_compiler(cache.mkdir("kaitai") if cache else tmp_path_factory.mktemp("npm"))
    out = tmp_path_factory.mktemp("kaitai")
    command = ["node", "-e", COMPILE, str(KSY), str(out)]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert [path.name for path in out.iterdir()] == ["aez.py"]
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(out))
        patch.delitem(sys.modules, "aez", raising=False)
        module: ModuleType = import_module("aez")
    return module.Aez


def fields(record: Any, names: str) -> dict[str, Any]:
    return {name: getattr(record, name) for name in names.split()}


HEADER = (
    "version_major version_minor required_flags optional_flags height width channels target_kind "
    "target_value chunk_images"
)
HEAD = (
    "ordinal image_count table_nbytes payload_nbytes sum_squared_error pixels_sha256 table_crc32 "
    "payload_crc32 max_error"
)
FOOTER = "index_offset index_nbytes file_nbytes image_count chunk_count"
ENTRY = "offset nbytes image_count head_crc32"


@pytest.mark.parametrize("name", GOOD)
def test_reads_as_our_reader(aez, name):
    data = (VECTORS / name).read_bytes()
    ours, theirs = container.Reader(io.BytesIO(data), name), aez.from_bytes(data)
    assert fields(theirs.header, HEADER) == fields(ours.header, HEADER)
    assert fields(theirs.footer, FOOTER) == fields(ours.footer, FOOTER)
    sections = [each.body for each in theirs.records if each.marker == aez.Marker.section]
    chunks = [each.body for each in theirs.records if each.marker == aez.Marker.chunk]
    check_sections(sections, ours)
    index = sections[-1].payload.entries
    assert len(chunks) == len(index) == ours.chunk_count
    for i, chunk in enumerate(chunks):
        assert fields(index[i], ENTRY) == fields(ours.index_entry(i), ENTRY)
        assert index[i].record.body.head_crc32 == chunk.head_crc32 == index[i].head_crc32
        check_chunk(chunk, ours, i)


def check_sections(sections: list[Any], ours: container.Reader) -> None:
    closing = ["HEAD", "PART", "INDX"] if ours.parts else ["HEAD", "INDX"]
    copies = len(closing)
    assert [each.kind for each in sections[-copies:]] == closing
    own = sections[:-copies]
    assert [
        (each.kind, bool(each.flags), each.payload_nbytes, each.payload_crc32) for each in own
    ] == [
        (each.kind, each.required, each.payload_nbytes, each.payload_crc32)
        for each in ours.sections
    ]
    for each, entry in zip(own, ours.sections, strict=True):
        if each.kind == "PART":
            parts = each.payload
            assert [(part.name, part.fingerprint) for part in parts.parts] == [
                (part.name, part.fingerprint) for part in ours.parts
            ]
            assert parts.model_name == ours.model_name
        else:
            assert each.payload == ours.read_section(entry)
    assert fields(sections[-copies].payload, HEADER) == fields(ours.header, HEADER)


def check_chunk(theirs: Any, ours: container.Reader, i: int) -> None:
    head, chunk = ours.read_chunk_head(i), ours.read_chunk(i)
    assert fields(theirs, HEAD) == fields(head, HEAD)
    assert [(e.mode.value, e.parameter, e.nbytes) for e in theirs.table.entries] == [*head.modes]
    runs = tuple((run.number, run.length.value) for run in theirs.table.runs)
    assert runs == (head.runs if len(head.modes) > 1 else ())
    for sub, expected in zip(theirs.sub_payloads, chunk.sub_payloads, strict=True):
        assert check_content(sub) == expected.data


def check_content(sub: Any) -> bytes:
    """The bytes of a sub-payload, put together from what its fields say."""
    content = sub.content
    if isinstance(content, bytes):
        return content
    if hasattr(content, "words"):
        states = b"".join(state.to_bytes(8, "little") for state in content.states)
        return states + b"".join(word.to_bytes(4, "little") for word in content.words)
    head = bytes(content.table_nbytes.bytes) + bytes(content.packed_nbytes.bytes)
    assert len(content.packed_table) == content.packed_nbytes.value
    return head + content.packed_table + content.frames


STRUCTURE = ("bad/cut-", "bad/appended-", "bad/magic", "bad/section-marker", "bad/chunk-marker")


@pytest.mark.parametrize("name", [name for name in BAD if name.startswith(STRUCTURE)])
def test_broken_structure_is_seen(aez, name):
    data = (VECTORS / name).read_bytes()
    with pytest.raises((kaitaistruct.KaitaiStructError, EOFError, ValueError)):
        aez.from_bytes(data)
