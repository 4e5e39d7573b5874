"""PCA has no place where its basis holds the images that it is fitted on."""

from __future__ import annotations

import numpy as np
import pytest

from aecodec.benchmark.peers.principal import has_principal
from aecodec.benchmark.running import all_peers

NOISE = np.random.default_rng(0).integers(0, 256, (1300, 8, 8, 1), np.uint8)


@pytest.mark.parametrize(
    ("count", "expected"),
    [(40, []), (159, []), (160, ["PCA 16"]), (330, ["PCA 16", "PCA 24", "PCA 32"])],
)
def test_few_images_have_few_components(count, expected):
    names = [peer.name for peer in all_peers(NOISE[:count], None)]
    found = [name.partition(",")[0] for name in names if name.startswith(("PCA", "KLT"))]
    assert found == expected


def test_footnotes_name_rows_that_exist():
    assert has_principal([{"coder": "gzip"}, {"coder": "PCA 16, zstd -19"}])
    assert has_principal([{"coder": "KLT, zstd -19"}])
    assert not has_principal([{"coder": "gzip"}])
