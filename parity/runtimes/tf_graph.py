"""The converted functions in `tf.function`s."""

from parity.export import artifact
from parity.runtimes._converted import ConvertedRuntime


class Runtime(ConvertedRuntime):
    """The exported module, wrapped by `artifact.graph`."""

    wrap = staticmethod(artifact.graph)
