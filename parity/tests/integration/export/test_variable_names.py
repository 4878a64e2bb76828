"""Every leaf has a name that TensorFlow takes for a variable."""

import pytest
import tensorflow as tf

from parity.export.conversion import variable_name


@pytest.mark.parametrize("leaf", ["Conv_0/kernel", "~/up", "_hidden/bias", "-1", "/a", "ä", "my kernel", "0", ""])
def test_tensorflow_takes_the_name_of_a_leaf(leaf):
    """Haiku calls what a function itself has `~`; TensorFlow refuses a name that starts with an underscore."""
    with tf.Graph().as_default():
        assert tf.Variable(1.0, name=variable_name(leaf)).name.endswith(":0")
    tf.Variable(1.0, name=variable_name(leaf))


def test_a_plain_name_stays_as_it_is():
    assert variable_name("Conv_0/kernel") == "Conv_0/kernel"
