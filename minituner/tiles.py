"""Products of float32 matrices by tiles that stay in registers, where oneDNN has no quick kernel.

They are the small products of a low-rank update, and those that sum over the symbols of a batch,
leftᵀ × right: both factors are read as they lie. Each sum is taken in the order of its terms by
fused multiply-adds, so all x86-64-v3 CPUs make the same bytes. tests/test_tiles.py holds the
results against PyTorch's products.
"""

from collections.abc import Callable

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from minituner.kernels import compiled

LANES = 8  # float32 numbers in a vector of x86-64-v3
PIECE = 64  # rows that a sum over rows takes at a time, so that they stay in the nearest cache


def _tile(turned: bool) -> Callable:
    """`tile`, or `turned_tile`, for both of which LLVM does not see that it needs no memory."""

    def typed(typing, out, i, c, left, right, first, last):
        index, vector = types.intp, ir.VectorType(ir.FloatType(), LANES)
        signature = types.void(out, index, index, left, right, index, index)

        def generate(context, builder, signature, arguments):
            out, i, c, left, right, first, last = arguments
            one, nothing = context.get_constant(index, 1), ir.Constant(vector, None)

            def matrix(position, value):
                array = context.make_array(signature.args[position])(context, builder, value)
                return array.data, builder.extract_value(array.shape, 1)

            def at(array, row, column):
                return builder.gep(array[0], [builder.add(builder.mul(row, array[1]), column)])

            def as_vector(pointer):
                return builder.bitcast(pointer, vector.as_pointer())

            out, left, right = matrix(0, out), matrix(3, left), matrix(4, right)
            rows = [builder.add(i, context.get_constant(index, r)) for r in range(LANES)]
            sums = [cgutils.alloca_once(builder, vector) for _ in rows]
            for total in sums:
                builder.store(nothing, total)
            kind = ir.FunctionType(vector, [vector] * 3)
            multiply_add = cgutils.get_or_insert_function(builder.module, kind, "llvm.fma.v8f32")
            spread = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
            with cgutils.for_range_slice(builder, first, last, one, inc=True) as (k, _):
                y = builder.load(as_vector(at(right, k, c)), align=4)
                for row, total in zip(rows, sums, strict=True):
                    x = builder.load(at(left, *((k, row) if turned else (row, k))))
                    x = builder.insert_element(nothing, x, ir.IntType(32)(0))
                    x = builder.shuffle_vector(x, x, spread)
                    builder.store(builder.call(multiply_add, [x, y, builder.load(total)]), total)
            for row, total in zip(rows, sums, strict=True):
                builder.store(builder.load(total), as_vector(at(out, row, c)), align=4)
            return context.get_dummy_value()

        return signature, generate

    return intrinsic(typed)


# out[i:i+8, c:c+8] = left[i:i+8, first:last] @ right[first:last, c:c+8]; rows lie together.
tile = _tile(turned=False)
# out[i:i+8, c:c+8] = left[first:last, i:i+8]ᵀ @ right[first:last, c:c+8]
turned_tile = _tile(turned=True)


@compiled
def rounded(n):
    """n rounded up to whole vectors."""
    return (n + LANES - 1) // LANES * LANES


@compiled
def whole(x):
    """x with zeros behind each row and column up to whole vectors; x itself if nothing lacks."""
    rows, columns = rounded(x.shape[0]), rounded(x.shape[1])
    if rows == x.shape[0] and columns == x.shape[1]:
        return x
    out = np.zeros((rows, columns), np.float32)
    out[: x.shape[0], : x.shape[1]] = x
    return out


@compiled
def transposed(matrix):
    """A copy whose rows are the columns of matrix."""
    out = np.empty((matrix.shape[1], matrix.shape[0]), np.float32)
    for i in range(matrix.shape[0]):
        for j in range(matrix.shape[1]):
            out[j, i] = matrix[i, j]
    return out


@compiled
def product(left, right):
    """left (n, k) × right (k or more, c), both whole."""
    out = np.empty((left.shape[0], right.shape[1]), np.float32)
    for i in range(0, out.shape[0], LANES):
        for c in range(0, out.shape[1], LANES):
            tile(out, i, c, left, right, 0, left.shape[1])
    return out


@compiled
def add_over_rows(left, right, factor, out):
    """Add factor · leftᵀ right to out (i, c), for left (n, i or more) and right (n, c or more)."""
    left, right = whole(left), whole(right)
    part = np.empty((left.shape[1], right.shape[1]), np.float32)
    for start in range(0, left.shape[0], PIECE):
        stop = min(start + PIECE, left.shape[0])
        for i in range(0, part.shape[0], LANES):
            for c in range(0, part.shape[1], LANES):
                turned_tile(part, i, c, left, right, start, stop)
        for i in range(out.shape[0]):
            for c in range(out.shape[1]):
                out[i, c] += part[i, c] * factor


@compiled
def low_rank(y, x, A, B, scale, inner, out):
    """Set inner (n, r) to A x and out (n, out) to y + scale · B A x.

    x is (n, in), A (r, in) and B (out, r).
    """
    by_A = product(whole(x), whole(transposed(whole(A))))
    inner[:] = by_A[: inner.shape[0], : inner.shape[1]]
    update = product(by_A, whole(transposed(B)))
    for i in range(out.shape[0]):
        for c in range(out.shape[1]):
            out[i, c] = y[i, c] + update[i, c] * scale


@compiled
def low_rank_backward(grad, x, inner, A, B, scale, for_x, for_A, for_B):
    """Set for_x, unless it is empty, and add to for_A and for_B, given grad, that by out."""
    grad = whole(grad)
    by_inner = product(grad, whole(B))
    if for_x.size:
        by_x = product(by_inner, whole(A))
        for i in range(for_x.shape[0]):
            for c in range(for_x.shape[1]):
                for_x[i, c] = by_x[i, c] * scale
    add_over_rows(by_inner, x, scale, for_A)
    add_over_rows(grad, inner, scale, for_B)
