"""Texts of policies."""

DRIFT = "[drift]\nfloor = 1\nscore = 2\nbudget = 4\npower = 4\nlatency = 1.5\nmemory = 2\nartifact = 2\n"


def rule(level="advisory", **where):
    output = {"level": level, "reason": "it is known", **where}
    return "[[rule]]\n" + "".join(f'{name} = "{value}"\n' for name, value in output.items())
