"""Other codecs, measured beside this one."""
