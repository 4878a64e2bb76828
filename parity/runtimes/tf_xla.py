"""The converted functions compiled whole by TensorFlow's XLA."""

from parity.export import artifact
from parity.runtimes._converted import ConvertedRuntime


class Runtime(ConvertedRuntime):
    """The exported module, wrapped by `artifact.xla`."""

    wrap = staticmethod(artifact.xla)
