"""How long the steps of a case take on every runtime, and what a runtime costs beside them.

Each runtime works in a process of its own, so that memory, threads and imports are its own; only one of them works at a
time. `measuring` asks, `worker` answers.
"""

from parity.runtimes import JAX, SAVED_MODEL, SAVED_MODEL_FRESH, TF_GRAPH, TF_XLA

PREDICT, EVAL, FORWARD_BACKWARD, TRAIN_STEP = "predict", "eval", "forward_backward", "train_step"
STEPS = (PREDICT, EVAL, FORWARD_BACKWARD, TRAIN_STEP)
"""Predictions; the evaluation loss; the training loss with its gradient, statistics and key updated; a whole step of
training, optimizer included."""
PROBE_OF = {PREDICT: "predict", EVAL: "eval_loss", FORWARD_BACKWARD: "train_gradient", TRAIN_STEP: "train_gradient"}
"""The probe that a case must have for a step to be timed."""
BATCH_SIZES = (1, 13, 256, 1024)
RUNTIMES = (JAX, TF_GRAPH, TF_XLA, SAVED_MODEL, SAVED_MODEL_FRESH)
