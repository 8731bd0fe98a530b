"""What LLVM does not make good vectors of by itself, since rows are as short as a sentence is long.

What attention does to its scores between the products, a vector of queries at a time, sums of rows,
and NF4's codes looked up.
"""

import functools
from collections.abc import Callable

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from minituner.compute.kernels import exponential
from minituner.compute.kernels.jit import AVX2, LANES, VECTOR, compiled

# As many numbers as a vector of this CPU's holds, and the eight partial sums of a row.
FLOATS, INTS = (ir.VectorType(kind, VECTOR) for kind in (ir.FloatType(), ir.IntType(32)))
PARTIAL = ir.VectorType(ir.FloatType(), LANES)


def _same(value: np.float32 | int, kind: ir.VectorType = FLOATS) -> ir.Constant:
    """That value in each lane."""
    return ir.Constant(kind, [value if kind is INTS else float(value)] * VECTOR)


def _over_keys(change: Callable) -> Callable:
    """An intrinsic f(i, n, *arrays) that takes the keys 0 to n − 1 one after the other.

    Of a matrix (keys, queries) it changes the VECTOR numbers of each key's row from column i on; of
    an array (queries,) as many stay in a register meanwhile. `change` gets the builder,
    which of the queries come at the key or behind it, and a vector an array; it returns what takes
    the place of each, or None where nothing does.
    """

    def typed(typing, i, n, *arrays):
        kinds = types.StarArgTuple(arrays)
        signature = types.void(types.intp, types.intp, kinds)

        def generate(context, builder, signature, arguments):
            i, n, values = arguments
            held = [builder.extract_value(values, place) for place in range(len(kinds))]
            held = [
                context.make_array(kind)(context, builder, value)
                for kind, value in zip(kinds, held, strict=True)
            ]

            def pointer(array, key=None):
                at = i
                if key is not None:
                    stride = builder.extract_value(array.strides, 0)
                    width = builder.lshr(stride, context.get_constant(types.intp, 2))
                    at = builder.add(builder.mul(width, key), i)
                return builder.bitcast(builder.gep(array.data, [at]), FLOATS.as_pointer())

            def load(where):
                return builder.load(where, align=4)

            registers = {
                place: cgutils.alloca_once_value(builder, load(pointer(array)))
                for place, array in enumerate(held)
                if kinds[place].ndim == 1
            }
            with cgutils.for_range(builder, n) as loop:
                ahead = builder.trunc(builder.sub(loop.index, i), ir.IntType(32))
                first = builder.insert_element(ir.Constant(INTS, None), ahead, ir.IntType(32)(0))
                first = builder.shuffle_vector(first, first, _same(0, INTS))
                seen = builder.icmp_signed(">=", ir.Constant(INTS, list(range(VECTOR))), first)
                at = [
                    registers.get(place) or pointer(array, loop.index)
                    for place, array in enumerate(held)
                ]
                for where, new in zip(at, change(builder, seen, *map(load, at)), strict=True):
                    if new is not None:
                        builder.store(new, where, align=4)
            for place, register in registers.items():
                builder.store(builder.load(register), pointer(held[place]), align=4)
            return context.get_dummy_value()

        return signature, generate

    return intrinsic(typed)


def _exponentials(builder: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """What `exponential.exponential` is of a number, operation by operation."""
    add, times = builder.fadd, builder.fmul
    lowest = _same(exponential.LOWEST)
    x = builder.select(builder.fcmp_ordered("<", x, lowest), lowest, x)
    scaled = add(times(x, _same(exponential.LOG2_E)), _same(exponential.HALF))
    kind = ir.FunctionType(FLOATS, [FLOATS])
    floor = cgutils.get_or_insert_function(builder.module, kind, f"llvm.floor.v{VECTOR}f32")
    n = builder.call(floor, [scaled])
    r = builder.fsub(x, times(n, _same(exponential.LN_2)))
    r = builder.fsub(r, times(n, _same(exponential.LN_2_REST)))
    series = _same(exponential.SERIES[0])
    for term in exponential.SERIES[1:]:
        series = add(times(series, r), _same(term))
    exponent = builder.add(builder.fptosi(n, INTS), _same(127, INTS))
    power = builder.bitcast(builder.shl(exponent, _same(23, INTS)), FLOATS)
    return times(add(add(times(series, times(r, r)), r), _same(1)), power)


def _highest(builder, seen, score, top):
    higher = builder.select(builder.fcmp_ordered(">", top, score), top, score)
    return None, builder.select(seen, higher, top)


def _soften(builder, seen, score, top, total):
    weight = _exponentials(builder, builder.fsub(score, top))
    weight = builder.select(seen, weight, ir.Constant(FLOATS, None))
    return weight, None, builder.fadd(total, weight)


def _weigh(builder, seen, weight, by_weight, total, mean):
    share = builder.fdiv(weight, total)
    return share, builder.fmul(share, builder.fsub(by_weight, mean)), None, None


# highest(i, n, scores, top): each query's highest score, or top if that is higher.
highest = _over_keys(_highest)
# soften(i, n, scores, top, total): e^(score − top), 0 where the key comes after the query, and the
# sum of these added to total. Not yet divided by it, so each query takes one division a number.
soften = _over_keys(_soften)
# weigh(i, n, weights, by_weight, total, mean): softmax's weights, and the gradients by the scores.
weigh = _over_keys(_weigh)


@intrinsic
def total(typing, row, whole, rest):
    """The sum of row[:whole] and rest (8,) in eight partial sums, which are added in order."""
    signature = types.float32(row, types.intp, rest)

    def generate(context, builder, signature, arguments):
        row, whole, rest = arguments

        def load(position, value, at):
            array = context.make_array(signature.args[position])(context, builder, value)
            pointer = builder.bitcast(builder.gep(array.data, [at]), PARTIAL.as_pointer())
            return builder.load(pointer, align=4)

        nothing, step = (context.get_constant(types.intp, number) for number in (0, LANES))
        sums = cgutils.alloca_once_value(builder, ir.Constant(PARTIAL, None))
        with cgutils.for_range_slice(builder, nothing, whole, step, inc=True) as (start, _):
            builder.store(builder.fadd(builder.load(sums), load(0, row, start)), sums)
        partial = builder.fadd(builder.load(sums), load(2, rest, nothing))
        lanes = [builder.extract_element(partial, ir.IntType(32)(lane)) for lane in range(LANES)]
        return functools.reduce(builder.fadd, lanes)

    return signature, generate


@intrinsic
def _look_up(typing, table, pairs, out):
    signature = types.void(table, pairs, out)

    def generate(context, builder, signature, arguments):
        table, pairs, out = (
            context.make_array(kind)(context, builder, value)
            for kind, value in zip(signature.args, arguments, strict=True)
        )

        def load(array, at, kind):
            pointer = builder.bitcast(builder.gep(array.data, [at]), kind.as_pointer())
            return builder.load(pointer, align=1)

        nothing, step = (context.get_constant(types.intp, number) for number in (0, VECTOR))
        parts = [
            load(table, context.get_constant(types.intp, first), FLOATS)
            for first in range(0, 16, VECTOR)
        ]
        names = {LANES: "llvm.x86.avx2.permps", 16: "llvm.x86.avx512.permvar.sf.512"}
        kind = ir.FunctionType(FLOATS, [FLOATS, INTS])
        permute = cgutils.get_or_insert_function(builder.module, kind, names[VECTOR])
        half = ir.VectorType(ir.IntType(8), VECTOR // 2)
        twice = ir.Constant(INTS, [lane // 2 for lane in range(VECTOR)])
        shifts = ir.Constant(INTS, [4, 0] * (VECTOR // 2))
        with cgutils.for_range_slice(builder, nothing, out.nitems, step, inc=True) as (start, _):
            pair = load(pairs, builder.lshr(start, context.get_constant(types.intp, 1)), half)
            codes = builder.zext(builder.shuffle_vector(pair, pair, twice), INTS)
            codes = builder.and_(builder.lshr(codes, shifts), _same(15, INTS))
            # An instruction reads a code's lowest bits alone, as many as its vector has places for.
            values = [builder.call(permute, [part, codes]) for part in parts]
            upper = builder.icmp_unsigned(">=", codes, _same(LANES, INTS))
            chosen = builder.select(upper, values[-1], values[0])
            where = builder.bitcast(builder.gep(out.data, [start]), FLOATS.as_pointer())
            builder.store(chosen, where, align=4)
        return context.get_dummy_value()

    return signature, generate


@compiled
def look_up(table, pairs, out):
    """Set out (n,), whole vectors, to the numbers in table (16,) of the codes in pairs (n / 2,)."""
    if AVX2:
        _look_up(table, pairs, out)
    else:
        for i in range(pairs.size):
            out[2 * i], out[2 * i + 1] = table[pairs[i] >> 4], table[pairs[i] & 15]
