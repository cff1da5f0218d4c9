"""How columns are multiplied: together in one product, or apart, each in one of its own.

A matrix product may give a column other bits at another width or in another place (OpenBLAS 0.3.31 knows seven
kinds of column within one product on Haswell). So the channels of a large stream are cut into tiles in one fixed
way; and small streams that arrive together share arrays but no product: each column is a matrix-vector product of
its own, the same as if it had come alone.
"""

import numpy as np

from streamer.messages import FloatArray


class Workspace:
    """Makes working arrays for `samples` samples and `width` columns, and multiplies them.

    Parameters
    ----------
    samples : int
    width : int
    apart : bool
        Each column in a product of its own.
    """

    def __init__(self, samples: int, width: int, *, apart: bool) -> None:
        self.samples = samples
        self.width = width
        self._apart = apart
        self.multiply = _stacked if apart and width > 1 else _plain

    def empty(self, samples: int, rows: int) -> FloatArray:
        """Return an array [samples, rows, width]; apart, the rows of a column are neighbours in memory."""
        if self._apart:
            return np.empty((samples, self.width, rows), np.float32).transpose(0, 2, 1)
        return np.empty((samples, rows, self.width), np.float32)

    def operand(self, columns: FloatArray) -> FloatArray:
        """Return a view of columns [rows, width] that `multiply` takes."""
        if not self._apart:
            return columns
        return columns[:, 0] if self.width == 1 else columns.T[:, :, None]

    def multiply_all(self, matrix: FloatArray, columns: FloatArray) -> FloatArray:
        """Return the products of columns [samples, rows, width] as [samples, products, width]."""
        if not self._apart:
            together: FloatArray = np.matmul(matrix, columns)
            return together
        if self.width == len(columns) == 1:
            products: FloatArray = matrix.dot(columns[0, :, 0])
            return products[None, :, None]
        stacks: FloatArray = np.matmul(matrix, columns.transpose(0, 2, 1)[..., None])
        return stacks[..., 0].transpose(0, 2, 1)


def _plain(matrix: FloatArray, columns: FloatArray, out: FloatArray) -> None:
    matrix.dot(columns, out)


def _stacked(matrix: FloatArray, columns: FloatArray, out: FloatArray) -> None:
    np.matmul(matrix, columns, out)
