"""The zoo: small models that stand for what people ship, one file each, as a user of `parity` would write it.

`--case zoo` is all of them; `--case zoo/NAME` is `case` in `NAME.py`. Their data is made from a fixed seed.
"""
