"""The converted functions in `tf.function`s."""

from parity.runtimes._converted import ConvertedRuntime, converted
from parity.runtimes.base import GRAPH


class Graph(ConvertedRuntime):
    """Answer from graphs."""

    name = "tf_graph"
    capabilities = converted(GRAPH, timing_worker="parity.latency.converted:open_graph")
