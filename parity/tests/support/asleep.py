"""A module that never comes to its end, for whoever imports it."""

import time


def asleep():
    time.sleep(600)


asleep()
