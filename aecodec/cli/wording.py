"""Messages in the words of the command line: options, where Python has arguments."""

from __future__ import annotations

import re
from typing import Final

from aecodec.advice import command_text
from aecodec.errors import AezError

# Arguments whose names are words of no other meaning.
_OPTIONS: Final = {
    "max_decoded_nbytes": "--max-decoded",
    "max_memory_nbytes": "--max-memory",
    "max_model_nbytes": "--max-model",
    "max_column_nbytes": "--max-column",
    "target_bytes_per_image": "--target-bytes-per-image",
    "chunk_images": "--chunk",
    "embed_model": "--embed-model",
    "skip_damaged": "--skip-damaged",
}
# Arguments named at the start of a message; elsewhere they may be fields or plain words.
_STARTING: Final = (
    "coder", "columns", "effort", "images", "labels", "licence", "lossless", "max_error", "origin",
    "psnr", "quality", "title", "underlay", "variant",
)  # fmt: skip
_ANYWHERE: Final = re.compile(rf"(?<![\w-])({'|'.join(_OPTIONS)})\b")
_START: Final = re.compile(rf"^({'|'.join(_STARTING)})(?=:| is )")
_SEVERAL: Final = re.compile(r"\bquality, max_error, lossless, psnr and ")


def in_options(error: BaseException) -> str:
    """The text of an error, with options in place of the arguments that it names."""
    text = command_text(error)
    text = _SEVERAL.sub("--quality, --max-error, --lossless, --psnr and ", text)
    text = _ANYWHERE.sub(lambda match: _OPTIONS[match[1]], text)
    if isinstance(error, ValueError | TypeError) and not isinstance(error, AezError):
        text = _START.sub(lambda match: f"--{match[1].replace('_', '-')}", text)
    return text
