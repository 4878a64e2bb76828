"""The reference case on MNIST, which needs a download or a cached copy."""

from dataclasses import replace

from parity.cases.pipeline import mnist
from parity.cases.shipped import reference

case = replace(reference.case, name="reference_mnist", dataset=mnist)
