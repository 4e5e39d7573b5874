"""Where other tools find ``.aez``; each module needs its own extra and is imported when used."""
