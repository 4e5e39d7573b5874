"""Finding models on this machine, and the parts that a file needs among them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from aecodec.arguments import NUMBER, PATH, checked
from aecodec.arrays import Shape
from aecodec.errors import AezLimitError, ModelCorruptError, ModelMissingError
from aecodec.limits import DEFAULT_LIMITS
from aecodec.models.file import unpack_model
from aecodec.models.model import Model, Part

PATH_VARIABLE = "AECODEC_MODEL_PATH"
BUNDLED = Path(__file__).parent.parent / "weights"


@checked(name_or_path=PATH, max_model_nbytes=NUMBER)
def load_model(
    name_or_path: str | os.PathLike[str], *, max_model_nbytes: int = DEFAULT_LIMITS.max_model_nbytes
) -> Model:
    """The model in a file, or the bundled or installed model of a name.

    Raises ModelMissingError if there is none, ModelCorruptError if its file is damaged,
    AezLimitError if its file is larger than ``max_model_nbytes``.
    """
    path = Path(name_or_path)
    if not path.is_file():
        text = os.fspath(name_or_path)
        found = {p.stem: p for p in reversed(list(model_paths()))}
        if text not in found:
            known = ", ".join(sorted(found)) or "none"
            raise ModelMissingError(
                f"no model {text!r}: not a file, and not one of the models here ({known})"
            )
        path = found[text]
    return unpack_model(_read_bounded(path, max_model_nbytes), str(path))


def _read_bounded(path: Path, max_model_nbytes: int) -> bytes:
    nbytes = path.stat().st_size
    if nbytes > max_model_nbytes:
        raise AezLimitError(f"{path}: {nbytes} bytes, max_model_nbytes allows {max_model_nbytes}")
    return path.read_bytes()


def model_paths() -> Iterator[Path]:
    """Model files on this machine: the folders of $AECODEC_MODEL_PATH first, then the bundled."""
    folders = [Path(p) for p in os.environ.get(PATH_VARIABLE, "").split(os.pathsep) if p]
    for folder in [*folders, BUNDLED]:
        yield from sorted(folder.glob("*.safetensors"))


def installed_models() -> Iterator[Model]:
    """Every model on this machine that has parts and can be read; others are passed over.

    Models for other uses (``aecodec.uses``) have no parts, and no file needs them.
    """
    for path in model_paths():
        with contextlib.suppress(ModelCorruptError, AezLimitError, OSError):
            model = load_model(path)
            if model.parts:
                yield model


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
