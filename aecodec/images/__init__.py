"""Image sets <-> uint8 batches: IDX, ``.npy``, ``.npz`` and folders of pictures.

Everything streams: a source yields batches of (n, H, W, C), a sink takes them, and neither holds
more than one batch. On disk and in arrays a set is (N, H, W) or (N, H, W, C), C in 1..4;
``has_channel_axis`` records which, so that a set can be restored in the same form.
"""

from aecodec.arrays import Images, Shape
from aecodec.errors import ImageSetError
from aecodec.images.base import READ_NBYTES, ImageSink, ImageSource, Skipped
from aecodec.images.labels import idx_labels, labels_path, read_labels
from aecodec.images.opening import KINDS, detect_kind, open_images, open_sink
from aecodec.images.pictures import PICTURE_SUFFIXES
from aecodec.images.tables import table_annotations

__all__ = [
    "KINDS",
    "PICTURE_SUFFIXES",
    "READ_NBYTES",
    "ImageSetError",
    "ImageSink",
    "ImageSource",
    "Images",
    "Shape",
    "Skipped",
    "detect_kind",
    "idx_labels",
    "labels_path",
    "open_images",
    "open_sink",
    "read_labels",
    "table_annotations",
]
