"""What ``aecodec bench`` and the scripts in ``bench/`` share: coders, measures, tables."""
