"""Finding models on this machine, and the parts that a file needs among them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from aecodec.arguments import NUMBER, PATH, checked
from aecodec.arrays import Shape
from aecodec.errors import AezError, AezLimitError, ModelMissingError
from aecodec.io.left_out import Aside, tell
from aecodec.limits import DEFAULT_LIMITS
from aecodec.models.file import unpack_model
from aecodec.models.model import Model, Part

PATH_VARIABLE = "AECODEC_MODEL_PATH"
BUNDLED = Path(__file__).parent.parent / "weights"
SUFFIX = ".safetensors"
PIECE_NBYTES = 1 << 20  # read at once of a file whose size the system does not tell


@checked(name_or_path=PATH, max_model_nbytes=NUMBER)
def load_model(
    name_or_path: str | os.PathLike[str], *, max_model_nbytes: int = DEFAULT_LIMITS.max_model_nbytes
) -> Model:
    """The model in a file, or the bundled or installed model of a name.

    Raises ModelMissingError if there is none, ModelCorruptError if its file is damaged,
    AezLimitError if its file is larger than ``max_model_nbytes``. Only ordinary files are read: a
    pipe or a device is none.
    """
    path = Path(name_or_path)
    if not os.path.isfile(path):
        return load_installed(os.fspath(name_or_path), max_model_nbytes=max_model_nbytes)
    return unpack_model(_read_bounded(path, max_model_nbytes), str(path))


def load_installed(name: str, *, max_model_nbytes: int = DEFAULT_LIMITS.max_model_nbytes) -> Model:
    """The bundled or installed model of a name, which is never taken for a path.

    Errors are those of :func:`load_model`.
    """
    found = {path.stem: path for path in reversed(list(model_paths()))}
    if name not in found:
        known = ", ".join(sorted(found)) or "none"
        raise ModelMissingError(
            f"no model {name!r}: not a file, and not one of the models here ({known})"
        )
    return unpack_model(_read_bounded(found[name], max_model_nbytes), str(found[name]))


def _read_bounded(path: Path, max_model_nbytes: int) -> bytes:
    """All of an ordinary file; no more is read than is allowed, whatever size it is said to have.

    OSError for a pipe or a device, which is not waited for.
    """
    with open(path, "rb", opener=_open_without_waiting) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(f"{path}: is a pipe or a device, expected a file")
        nbytes = status.st_size
        if nbytes <= max_model_nbytes:
            pieces = [file.read(nbytes + 1)]
            nbytes = len(pieces[0])
            if nbytes > status.st_size:  # it grows, or is one of /proc, which are all said empty
                while nbytes <= max_model_nbytes and (piece := file.read(PIECE_NBYTES)):
                    pieces.append(piece)
                    nbytes += len(piece)
    if nbytes > max_model_nbytes:
        raise AezLimitError(f"{path}: {nbytes} bytes, max_model_nbytes allows {max_model_nbytes}")
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def model_paths() -> Iterator[Path]:
    """Model files on this machine: the folders of $AECODEC_MODEL_PATH first, then the bundled.

    What is called like one and is no ordinary file, and a folder that cannot be read, are passed
    over; ``--verbose`` tells of them.
    """
    folders = [Path(p) for p in os.environ.get(PATH_VARIABLE, "").split(os.pathsep) if p]
    for folder in [*folders, BUNDLED]:
        try:
            names = sorted(name for name in os.listdir(folder) if name.endswith(SUFFIX))
        except OSError as error:
            _pass_over(folder, error.strerror or str(error))
            continue
        for path in (folder / name for name in names):
            reason = _why_not_a_file(path)
            if reason is None:
                yield path
            else:
                _pass_over(path, reason)


def _why_not_a_file(path: Path) -> str | None:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return "link to nothing" if path.is_symlink() else error.strerror or str(error)
    if stat.S_ISREG(mode):
        return None
    return "folder" if stat.S_ISDIR(mode) else "pipe, socket or device"


def installed_models() -> Iterator[Model]:
    """Every model on this machine that has parts and can be read; others are passed over.

    Models for other uses (``aecodec.uses``) have no parts, and no file needs them.
    """
    for path in model_paths():
        model = _model_or_none(path)
        if model is not None and model.parts:
            yield model


def _model_or_none(path: Path) -> Model | None:
    try:
        return load_model(path)
    except AezError as error:
        _pass_over(path, str(error).removeprefix(f"{path}: "))
    except OSError as error:
        _pass_over(path, error.strerror or str(error))
    return None


def _pass_over(path: Path, reason: str) -> None:
    tell("models", [Aside(str(path), reason)])


def find_parts(wanted: Mapping[str, bytes], models: Iterable[Model], model_name: str) -> Model:
    """A model of exactly the parts that a file names, taken from one or several models.

    ``wanted`` maps part names to fingerprints. ModelMissingError says how to supply a missing part,
    and tells of another model of the same name.
    """
    found: dict[str, Part] = {}
    shape: Shape | None = None
    namesake: Model | None = None
    for model in models:
        if namesake is None and model.name == model_name:
            namesake = model
        for name, part in model.parts.items():
            if name in wanted and name not in found and part.fingerprint() == wanted[name]:
                found[name], shape = part, model.shape
        if len(found) == len(wanted):
            return Model(model_name, shape, found)
    name = next(iter(sorted(set(wanted) - set(found))))
    raise ModelMissingError(
        f"the file needs part {name} {wanted[name].hex()[:16]} of model {model_name!r}, which is "
        f"not here{_difference(namesake, name)}: put its file in a folder of ${PATH_VARIABLE}"
    )


def _difference(namesake: Model | None, part: str) -> str:
    """How an installed model of the same name differs from the one that is missing, if any does."""
    if namesake is None:
        return ""
    if part not in namesake.parts:
        return f" (another model {namesake.name!r} is, which has no part {part})"
    digits = namesake.parts[part].fingerprint().hex()[:16]
    return f" (another model {namesake.name!r} is, whose part {part} is {digits})"
