"""One file per case; `case` in it is what `--case NAME` finds."""
