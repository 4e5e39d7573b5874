"""What ``aecodec bench`` and the scripts in ``bench/`` share: peers, measures, tables."""
