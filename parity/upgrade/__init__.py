"""Decide whether one pair of releases may replace another; if not, name the side that moved and what unblocks it.

In come two pairs of jax and tensorflow releases and a case. `runner` finds the records of the four corners (old and new
jax beside old and new tensorflow) or makes them through the matrix. Out come the gate's verdict, findings with a reason
code for each side (`attribution`, `reasons`), the remedy as code, and the newest pair in between that needs no remedy
(`alternatives`), as text, Markdown or JSON (`rendering`). `search` bisects the releases of one package.
"""
