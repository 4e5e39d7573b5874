"""Image sets <-> uint8 batches: IDX, ``.npy``, ``.npz`` and folders of pictures.

Everything streams: a source yields batches of (n, H, W, C), a sink takes them, and neither holds
more than one batch. On disk and in arrays a set is (N, H, W) or (N, H, W, C), C in 1..4;
``has_channel_axis`` records which, so that a set can be restored in the same form.
"""

from aecodec.arrays import Images, Shape
from aecodec.errors import ImageSetError
from aecodec.images.base import READ_NBYTES, ImageSink, ImageSource, Skipped
from aecodec.images.labels import idx_labels, labels_path
from aecodec.images.members import split_member
from aecodec.images.opening import KINDS, detect_kind, open_images, open_sink
from aecodec.images.pairing import Rows, paired_columns, paired_labels
from aecodec.images.safe_names import PICTURE_SUFFIXES
from aecodec.images.tables import read_label_rows, read_labels, read_rows

__all__ = [
    "KINDS",
    "PICTURE_SUFFIXES",
    "READ_NBYTES",
    "ImageSetError",
    "ImageSink",
    "ImageSource",
    "Images",
    "Rows",
    "Shape",
    "Skipped",
    "detect_kind",
    "idx_labels",
    "labels_path",
    "open_images",
    "open_sink",
    "paired_columns",
    "paired_labels",
    "read_label_rows",
    "read_labels",
    "read_rows",
    "split_member",
]
