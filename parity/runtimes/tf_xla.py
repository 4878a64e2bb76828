"""The converted functions compiled whole by TensorFlow's XLA."""

from parity.runtimes._converted import ConvertedRuntime, converted
from parity.runtimes.base import XLA


class Xla(ConvertedRuntime):
    """Answer from functions with `jit_compile`."""

    name = "tf_xla"
    capabilities = converted(XLA, timing_worker="parity.latency.converted:open_xla")
