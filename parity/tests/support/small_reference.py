"""The reference case with a twentieth of its weights: the same layers and leaves, whose compute costs little."""

import contextlib
from unittest import mock

import flax.linen as nn

from parity.cases.shipped import reference


class Network(nn.Module):
    """Images [b, 28, 28, 1] to logits [b, 10] or, without `head`, to the input of the last layer, [b, 200]; float32."""

    @nn.compact
    def __call__(self, images, train, head=True):
        def batch_norm():
            return nn.BatchNorm(use_running_average=not train, use_bias=True, use_scale=False)

        x = nn.Conv(features=8, kernel_size=(3, 3), strides=4, padding="SAME", use_bias=False)(images)
        x = batch_norm()(x)
        x = x.reshape((x.shape[0], -1))
        x = nn.Dense(features=200)(x)
        x = batch_norm()(x)
        x = nn.Dropout(rate=0.3, deterministic=not train)(x)
        x = nn.relu(x)
        return nn.Dense(features=10)(x) if head else x


@contextlib.contextmanager
def in_its_place():
    """Gives the functions of the reference case this network."""
    with mock.patch.object(reference, "network", Network()):
        yield
