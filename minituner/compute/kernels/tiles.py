"""Products of float32 matrices by tiles that stay in registers, the same bytes on every CPU.

Each sum is taken in the order of its terms by fused multiply-adds, so all CPUs that have these make
the same bytes, and so does every shape of tile.
"""

from collections.abc import Callable

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from minituner.compute.kernels.jit import LANES, VECTOR, compiled

# Columns and rows of `wide_tile`, whose sums fill half the registers: AVX-512 has 32, AVX2 16.
WIDE, HIGH = 2 * VECTOR, 4 if VECTOR == LANES else 8
PIECE = 64  # rows that a sum over rows takes at a time, so that they stay in the nearest cache


def _tile(rows: int, vectors: int, lanes: int, turned: bool = False) -> Callable:
    """One of the tiles below, for all of which LLVM does not see that they need no memory.

    It has so many rows, and in each so many vectors of so many lanes.
    """

    def typed(typing, out, i, c, left, right, first, last, *plus):
        index, vector = types.intp, ir.VectorType(ir.FloatType(), lanes)
        plus_type = types.StarArgTuple(plus)
        signature = types.void(out, index, index, left, right, index, index, plus_type)

        def generate(context, builder, signature, arguments):
            out, i, c, left, right, first, last, start = arguments
            one, nothing = context.get_constant(index, 1), ir.Constant(vector, None)

            def matrix(position, value):
                array = context.make_array(signature.args[position])(context, builder, value)
                stride = builder.extract_value(array.strides, 0)
                return array.data, builder.lshr(stride, context.get_constant(index, 2))

            def at(array, row, column):
                return builder.gep(array[0], [builder.add(builder.mul(row, array[1]), column)])

            def behind(first, *offsets):
                return [builder.add(first, context.get_constant(index, n)) for n in offsets]

            def load(pointer):
                return builder.load(builder.bitcast(pointer, vector.as_pointer()), align=4)

            out, left, right = matrix(0, out), matrix(3, left), matrix(4, right)
            lines = behind(i, *range(rows))
            columns = behind(c, *range(0, vectors * lanes, lanes))
            sums = {(r, v): cgutils.alloca_once(builder, vector) for r in lines for v in columns}
            for total in sums.values():
                builder.store(nothing, total)
            kind = ir.FunctionType(vector, [vector] * 3)
            fma = f"llvm.fma.v{lanes}f32"
            multiply_add = cgutils.get_or_insert_function(builder.module, kind, fma)
            spread = ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
            with cgutils.for_range_slice(builder, first, last, one, inc=True) as (k, _):
                ys = {column: load(at(right, k, column)) for column in columns}
                xs = {}
                for line in lines:
                    x = builder.load(at(left, *((k, line) if turned else (line, k))))
                    x = builder.insert_element(nothing, x, ir.IntType(32)(0))
                    xs[line] = builder.shuffle_vector(x, x, spread)
                for (line, column), total in sums.items():
                    more = builder.call(multiply_add, [xs[line], ys[column], builder.load(total)])
                    builder.store(more, total)
            for (line, column), total in sums.items():
                value = builder.load(total)
                if plus:
                    row = context.make_array(plus[0])(
                        context, builder, builder.extract_value(start, 0)
                    )
                    value = builder.fadd(value, load(builder.gep(row.data, [column])))
                pointer = builder.bitcast(at(out, line, column), vector.as_pointer())
                builder.store(value, pointer, align=4)
            return context.get_dummy_value()

        return signature, generate

    return intrinsic(typed)


# out[i:i+8, c:c+8] = left[i:i+8, first:last] @ right[first:last, c:c+8], and + row[c:c+8] if a row
# follows. Each row's numbers lie together.
tile = _tile(LANES, 1, LANES)
# The same for out[i:i+8, c:c+VECTOR].
long_tile = _tile(LANES, 1, VECTOR)
# The same for out[i:i+HIGH, c:c+WIDE], which takes fewer loads.
wide_tile = _tile(HIGH, 2, VECTOR)
# The same with left[first:last, i:i+8]ᵀ or left[first:last, i:i+HIGH]ᵀ in place of left.
turned_tile = _tile(LANES, 1, LANES, turned=True)
long_turned_tile = _tile(LANES, 1, VECTOR, turned=True)
wide_turned_tile = _tile(HIGH, 2, VECTOR, turned=True)


@compiled
def rounded(n):
    """n rounded up to whole vectors."""
    return (n + VECTOR - 1) // VECTOR * VECTOR


@compiled
def copy(x, out):
    """Set the first rows and columns of out to x, or the rows and columns that x has of it."""
    for i in range(min(x.shape[0], out.shape[0])):
        row, new = x[i], out[i]
        for c in range(min(row.size, new.size)):
            new[c] = row[c]


@compiled
def padded(x, rows, columns):
    """x with zeros behind each row and column up to at least that many; x itself if it has them."""
    rows, columns = max(rows, x.shape[0]), max(columns, x.shape[1])
    if rows == x.shape[0] and columns == x.shape[1]:
        return x
    out = np.zeros((rows, columns), np.float32)
    copy(x, out)
    return out


@compiled
def transposed(matrix):
    """A copy whose rows are the columns of matrix."""
    out = np.empty((matrix.shape[1], matrix.shape[0]), np.float32)
    for i in range(matrix.shape[0]):
        row = matrix[i]
        for j in range(row.size):
            out[j, i] = row[j]
    return out


@compiled
def copy_columns(matrix, out):
    """Set out (k, w or more) to matrix (k, w), of which either rows or columns lie together."""
    columns = range(matrix.shape[1])
    if matrix.strides[1] == matrix.itemsize:
        for k in range(matrix.shape[0]):
            row, copy = matrix[k], out[k]
            for j in columns:
                copy[j] = row[j]
    else:
        for first in range(0, matrix.shape[0], PIECE):
            part, copy = matrix[first : first + PIECE], out[first : first + PIECE]
            for j in columns:
                column = part[:, j]
                for k in range(column.size):
                    copy[k, j] = column[k]


@compiled
def product(left, right, row, out):
    """Set out (n, c) to left (n, k) × right (k, c) + row (c,), which is empty for zeros.

    WIDE columns of right at a time are copied to where they lie together. What is no multiple of a
    tile ends with one that begins earlier, and so makes some sums twice.
    """
    n, c = out.shape
    width = LANES if c <= LANES else WIDE
    high = LANES if c <= LANES else HIGH
    left, whole = padded(left, high, 0), padded(out, high, width)
    added = np.zeros(whole.shape[1], np.float32)
    for i in range(row.size):
        added[i] = row[i]
    columns = np.zeros((left.shape[1], width), np.float32)
    for start in range(0, c, width):
        start = max(min(start, c - width), 0)
        copy_columns(right[:, start : start + width], columns)
        part, row_part = whole[:, start : start + width], added[start : start + width]
        for i in range(0, n, high):
            i = max(min(i, n - high), 0)
            if width == LANES:
                tile(part, i, 0, left, columns, 0, left.shape[1], row_part)
            else:
                wide_tile(part, i, 0, left, columns, 0, left.shape[1], row_part)
    if whole.size > out.size:
        copy(whole, out)


@compiled
def add_over_rows(left, right, factor, out):
    """Add factor · leftᵀ right to out (i, c), for left (n, i) and right (n, c)."""
    n, rows, columns = left.shape[0], out.shape[0], out.shape[1]
    wide = rows >= HIGH and columns >= WIDE
    high, width = (HIGH, WIDE) if wide else (LANES, LANES)
    left, right = padded(left, 0, high), padded(right, 0, width)
    part = np.empty((max(rows, high), max(columns, width)), np.float32)
    for first in range(0, n, PIECE):
        last = min(first + PIECE, n)
        for i in range(0, rows, high):
            i = max(min(i, rows - high), 0)
            for c in range(0, columns, width):
                c = max(min(c, columns - width), 0)
                if wide:
                    wide_turned_tile(part, i, c, left, right, first, last)
                else:
                    turned_tile(part, i, c, left, right, first, last)
        for i in range(rows):
            sums, row = out[i], part[i]
            for c in range(columns):
                sums[c] += row[c] * factor
