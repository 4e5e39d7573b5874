"""The exceptions that a file, a model or an image set can raise, and the one of a signal."""

import signal

# What ends a program from outside and may be handled; Windows has the first alone.
ENDING_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGXCPU") if hasattr(signal, name)
)


class AezError(Exception):
    """Base of all errors of ``.aez`` files, models and image sets."""


class AezCorruptError(AezError):
    """Not an ``.aez`` file, or a damaged one: cut, a wrong checksum, overlapping entries."""


class AezChangedError(AezError):
    """The file is another one than was opened first: it was replaced or overwritten since."""


class AezUnsupportedError(AezError):
    """An intact file that needs a version, flag, section or mode unknown to this reader."""


class AezLimitError(AezError):
    """The file needs more than the caller allows (see :class:`aecodec.limits.Limits`)."""


class ModelMismatchError(AezError):
    """The model that was given is not the one that the file or the images need."""


class ModelMissingError(AezError):
    """The model that the file or the caller names is not on this machine."""


class ModelCorruptError(AezError):
    """A model file that is damaged, is not a model, or cannot be proven to decode exactly."""


class QuantizerRangeError(AezError):
    """Symbols of latents outside the range that their coder can code."""


class Terminated(KeyboardInterrupt):
    """A signal has come, such as SIGTERM. It ends work as Ctrl-C does, but with its own status."""

    def __init__(self, number: int = signal.SIGTERM) -> None:
        super().__init__()
        self.number = int(number)

    def __reduce__(self) -> tuple[type["Terminated"], tuple[int]]:
        return type(self), (self.number,)


class ImageSetError(AezError, ValueError):
    """The content of an image set that cannot be read or written; the message says why.

    An AezError, since names and columns of an ``.aez`` may be such that no set can hold them.
    """
