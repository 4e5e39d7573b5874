"""The exception tree: everything a file, a model or a set of symbols can raise."""


class AezError(Exception):
    """Base of every error that reading or writing an ``.aez`` file or a model can raise."""


class AezCorruptError(AezError):
    """Not an ``.aez`` file, or a damaged one: cut, a checksum off, entries that overlap."""


class AezUnsupportedError(AezError):
    """A sound file that needs a version, flag, section, mode or coder this reader lacks."""


class AezLimitError(AezError):
    """The file declares more than the caller allows (see the ``max_*_nbytes`` arguments)."""


class ModelMismatchError(AezError):
    """A model was given, but not the one the file or the images need."""


class ModelMissingError(AezError):
    """The model that the file or the caller names is not on this machine."""


class ModelCorruptError(AezError):
    """A model file is damaged, is not a model, or cannot be proven to decode exactly."""


class QuantizerRangeError(AezError):
    """Latents quantize to symbols outside the range that the format can store."""


class ImageSetError(ValueError):
    """The content of an image set is not what this package takes; the message says why."""
