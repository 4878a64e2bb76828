"""The reference case on MNIST, which needs a download or a cached copy."""

from dataclasses import replace

from parity.cases import reference
from parity.pipeline import mnist

case = replace(reference.case, name="reference_mnist", dataset=mnist)
