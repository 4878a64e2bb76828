"""The cases of parity, one file each: `case` in `NAME.py` is what `--case NAME` finds."""
