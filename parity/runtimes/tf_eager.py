"""The converted functions called eagerly: TensorFlow runs the program of each as one operation."""

from parity.export import artifact
from parity.runtimes._converted import ConvertedRuntime


class Runtime(ConvertedRuntime):
    """The exported module, wrapped by `artifact.eager`."""

    wrap = staticmethod(artifact.eager)
