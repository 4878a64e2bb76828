"""The converted functions called eagerly: TensorFlow runs the program of each as one operation."""

from parity.runtimes._converted import ConvertedRuntime, converted
from parity.runtimes.base import EAGER


class Eager(ConvertedRuntime):
    """Answer from the functions themselves."""

    name = "tf_eager"
    capabilities = converted(EAGER, timing_worker=None)
