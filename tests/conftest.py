"""One thread each for torch and NumPy: the tests' arrays are tiny, and machines that run tests are busy."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import torch

torch.set_num_threads(1)
