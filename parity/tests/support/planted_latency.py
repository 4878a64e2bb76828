"""The tiny case, whose program differs in the process that times JAX: it predicts zeros, and its loss is off.

`refusing` predicts but at the largest batch size, 50.
"""

import sys

from parity.tests.support import tiny

ALIEN = "parity.latency.in_jax:Steps" in sys.argv


def predict(state, data):
    found = tiny.predict(state, data)
    return found * 0 if ALIEN else found


def loss(params, other_state, rng, data, labels, train):
    found, other = tiny.loss(params, other_state, rng, data, labels, train)
    return (found if train or not ALIEN else found * 1.01), other


planted = tiny.case(name="planted", predict=predict, loss=loss)


def refuse(state, data):
    if ALIEN and data.shape[0] == 50:
        raise ValueError("too many")
    return tiny.predict(state, data)


refusing = tiny.case(name="refusing", predict=refuse)
