"""EMD similarity of pairs on a CPU core: one problem after the other, each in the core's first cache (numba, without the GIL)."""

import math

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float32]
F = np.float32
# Sums in any order and fused multiply-adds are what lets loops run in vector registers; NaN and infinity keep their meaning.
FAST = {"reassoc", "contract", "nsz"}
BLOCK = 10  # iterations between two looks at how fast the error falls
MAX_LEFT = 0.9999  # the largest share of the error that an iteration is taken to leave: ω <= 1.98
MAX_GROWTHS = 3


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def similarities(
    unit_a: Floats,
    unit_b: Floats,
    own_a: Floats,
    own_b: Floats,
    towards_a: Floats,
    towards_b: Floats,
    pairs: npt.NDArray[np.int64],
    regularisation: float,
    tolerance: float,
    max_iterations: int,
    in_logarithms: bool,
    similarity: Floats,
    error: Floats,
) -> None:
    """Σ T·cos of many pairs; no pair's bits depend on another.

    Args:
        unit_a: (A, N, C), cells of unit length.
        unit_b: (B, M, C).
        own_a: (A, N) and
        own_b: (B, M): what each cell weighs whatever the other face, >= 0.
        towards_a: (A, C) and
        towards_b: (B, C): a cell weighs max(0, own + cell · the other face's vector); (0, C) where it weighs its own alone.
        pairs: (P, 2), row of a and of b.
        regularisation, tolerance, max_iterations: see sinkhorn.Sinkhorn.
        in_logarithms: where exp(-2 / regularisation) is no normal float32.
        similarity: (P,), written; NaN where all weights of a face are 0, or a number left the range.
        error: (P,), written: |T1 - a|₁ + |Tᵀ1 - b|₁; NaN where all weights of a face are 0.
    """
    num_rows, num_columns = unit_a.shape[1], unit_b.shape[1]
    cosines = np.empty((num_rows, num_columns), F)
    kernel = np.empty_like(cosines)
    weights_a, r = np.empty(num_rows, F), np.empty(num_rows, F)
    weights_b, c, sums = np.empty(num_columns, F), np.empty(num_columns, F), np.empty(num_columns, F)
    for p in range(len(pairs)):
        a, b = pairs[p, 0], pairs[p, 1]
        weighed = _weigh(unit_a[a], own_a[a], towards_b, b, weights_a)
        weighed &= _weigh(unit_b[b], own_b[b], towards_a, a, weights_b)
        if not weighed:
            similarity[p], error[p] = np.nan, np.nan
            continue
        _cosines(unit_a[a], unit_b[b], cosines)
        if not in_logarithms:
            similarity[p], error[p] = _scaled(
                cosines, weights_a, weights_b, regularisation, tolerance, max_iterations, kernel, r, c, sums
            )
        if in_logarithms or not math.isfinite(similarity[p]):
            similarity[p], error[p] = _scaled_logarithms(
                cosines, weights_a, weights_b, regularisation, tolerance, max_iterations
            )


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def _weigh(unit: Floats, own: Floats, towards: Floats, other: int, weights: Floats) -> bool:
    """Write one face's weights, which sum to 1; False where they are all 0."""
    total = F(0)
    for i in range(len(own)):
        weight = own[i]
        if len(towards):
            for k in range(unit.shape[1]):
                weight += unit[i, k] * towards[other, k]
        weights[i] = max(weight, F(0))
        total += weights[i]
    for i in range(len(own)):
        weights[i] /= total
    return bool(total > 0)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def _cosines(a: Floats, b: Floats, out: Floats) -> None:
    """a bᵀ in tiles of 4x4, whose 16 sums stay in registers; the last tile of an uneven side overlaps the one before."""
    num_rows, num_columns, num_values = len(a), len(b), a.shape[1]
    if min(num_rows, num_columns) < 4:
        for i in range(num_rows):
            for j in range(num_columns):
                s = F(0)
                for k in range(num_values):
                    s += a[i, k] * b[j, k]
                out[i, j] = s
    else:
        for column in range(0, num_columns, 4):
            j = min(column, num_columns - 4)
            for row in range(0, num_rows, 4):
                i = min(row, num_rows - 4)
                s00 = s01 = s02 = s03 = s10 = s11 = s12 = s13 = F(0)
                s20 = s21 = s22 = s23 = s30 = s31 = s32 = s33 = F(0)
                for k in range(num_values):
                    a0, a1, a2, a3 = a[i, k], a[i + 1, k], a[i + 2, k], a[i + 3, k]
                    b0, b1, b2, b3 = b[j, k], b[j + 1, k], b[j + 2, k], b[j + 3, k]
                    s00 += a0 * b0
                    s01 += a0 * b1
                    s02 += a0 * b2
                    s03 += a0 * b3
                    s10 += a1 * b0
                    s11 += a1 * b1
                    s12 += a1 * b2
                    s13 += a1 * b3
                    s20 += a2 * b0
                    s21 += a2 * b1
                    s22 += a2 * b2
                    s23 += a2 * b3
                    s30 += a3 * b0
                    s31 += a3 * b1
                    s32 += a3 * b2
                    s33 += a3 * b3
                out[i, j], out[i, j + 1], out[i, j + 2], out[i, j + 3] = s00, s01, s02, s03
                out[i + 1, j], out[i + 1, j + 1], out[i + 1, j + 2], out[i + 1, j + 3] = s10, s11, s12, s13
                out[i + 2, j], out[i + 2, j + 1], out[i + 2, j + 2], out[i + 2, j + 3] = s20, s21, s22, s23
                out[i + 3, j], out[i + 3, j + 1], out[i + 3, j + 2], out[i + 3, j + 3] = s30, s31, s32, s33
    for i in range(num_rows):
        for j in range(num_columns):
            out[i, j] = min(max(out[i, j], F(-1)), F(1))


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def _exp(x: np.float32) -> np.float32:
    """exp of a float32 in [-87, 0], right to 3e-7 of itself: 2ⁿ times a polynomial, which a loop computes 16 at a time."""
    n = np.rint(x * F(1.44269504))
    x = x - n * F(0.693359375) + n * F(2.12194440e-4)  # ln 2 in two parts, the first exact
    p = F(1.9875691500e-4)
    p = p * x + F(1.3981999507e-3)
    p = p * x + F(8.3334519073e-3)
    p = p * x + F(4.1665795894e-2)
    p = p * x + F(1.6666665459e-1)
    p = p * x + F(5.0000001201e-1)
    p = p * x * x + x + F(1)
    return p * np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def _scaled(
    cosines: Floats,
    weights_a: Floats,
    weights_b: Floats,
    regularisation: float,
    tolerance: float,
    max_iterations: int,
    kernel: Floats,
    r: Floats,
    c: Floats,
    sums: Floats,
) -> tuple[np.float32, np.float32]:
    """T = r K c; in turn r makes the row sums right, c the column sums, each going ω times as far (_relaxation).

    One pass over K gives a row's sum, its r, and its part of the column sums, and with them the error of the plan (r, c).
    """
    num_rows, num_columns = cosines.shape
    by = F(1.0 / regularisation)
    for i in range(num_rows):
        for j in range(num_columns):
            kernel[i, j] = _exp((cosines[i, j] - F(1)) * by)
    for j in range(num_columns):
        c[j] = F(1) if weights_b[j] > 0 else F(0)
    omega, settling, before, growths = 1.0, True, np.inf, 0
    beyond = F(0)
    iteration = 0
    while True:
        iteration += 1
        error = F(0)
        sums[:] = F(0)
        for i in range(num_rows):
            s = F(0)
            for j in range(num_columns):
                s += kernel[i, j] * c[j]
            scale = weights_a[i] / s
            if beyond > 0 and scale > 0:
                scale *= _power(scale / r[i], beyond)
                error += abs(scale * s - weights_a[i])
            r[i] = scale
            for j in range(num_columns):
                sums[j] += scale * kernel[i, j]
        for j in range(num_columns):
            error += abs(c[j] * sums[j] - weights_b[j])
        if not error > tolerance or iteration >= max_iterations:
            break
        if iteration % BLOCK == 0:
            omega, settling, growths = _relaxation(omega, settling, float(error), before, growths)
            before = float(error)
        beyond = F(omega - 1.0)
        for j in range(num_columns):
            scale = weights_b[j] / sums[j]
            c[j] = scale * _power(scale / c[j], beyond) if scale > 0 else F(0)
    similarity = F(0)
    for i in range(num_rows):
        s = F(0)
        for j in range(num_columns):
            s += kernel[i, j] * c[j] * cosines[i, j]
        similarity += s * r[i]
    return similarity, error


@njit(cache=True, nogil=True, error_model="numpy", fastmath=FAST)
def _power(x: np.float32, exponent: np.float32) -> np.float32:
    """x^exponent for x near 1, exponent in [0, 1): its [1/1] Padé approximant, positive and bounded for every x > 0."""
    return ((F(1) + exponent) * x + (F(1) - exponent)) / ((F(1) - exponent) * x + (F(1) + exponent))


@njit(cache=True, nogil=True, error_model="numpy")
def _relaxation(omega: float, settling: bool, error: float, before: float, growths: int) -> tuple[float, bool, int]:
    """After a block: the ω of the next, whether its first errors tell nothing yet, and how often the error has grown.

    Near the solution an iteration of plain Sinkhorn leaves a share λ of the error and an over-relaxed one a share ρ with
    (ρ + ω - 1)² = ω² λ ρ; ω = 2 / (1 + √(1 - λ)) makes it least (successive over-relaxation; for Sinkhorn Thibault et al. 2021).
    λ is taken from a block of constant ω, of which the one after a change is none. Far from the solution over-relaxation may
    fail: where the error grew, plain iterations follow, which always converge, and after the third time to the end.
    """
    if settling:
        return omega, False, growths
    if error >= before:
        return 1.0, True, growths + 1
    if growths == MAX_GROWTHS:
        return omega, False, growths
    rho = (error / before) ** (1.0 / BLOCK)
    left = min((rho + omega - 1.0) ** 2 / (omega**2 * rho), MAX_LEFT)
    return 2.0 / (1.0 + math.sqrt(1.0 - left)), True, growths


@njit(cache=True, nogil=True, error_model="numpy")
def _scaled_logarithms(
    cosines: Floats, weights_a: Floats, weights_b: Floats, regularisation: float, tolerance: float, max_iterations: int
) -> tuple[float, float]:
    """As _scaled, on f = log r and g = log c in float64, whose range no regularisation leaves; -inf where a weight is 0."""
    num_rows, num_columns = cosines.shape
    by_row, by_column = np.empty((num_rows, num_columns)), np.empty((num_columns, num_rows))
    for i in range(num_rows):
        for j in range(num_columns):
            by_row[i, j] = by_column[j, i] = (cosines[i, j] - 1.0) / regularisation
    f, g = np.zeros(num_rows), np.zeros(num_columns)
    sums = np.empty(num_columns)
    for i in range(num_rows):
        f[i] = 0.0 if weights_a[i] > 0 else -np.inf
    for j in range(num_columns):
        g[j] = 0.0 if weights_b[j] > 0 else -np.inf
    omega, settling, before, growths = 1.0, True, np.inf, 0
    iteration = 0
    while True:
        iteration += 1
        error = 0.0
        for i in range(num_rows):
            if weights_a[i] > 0:
                s = _log_sum(by_row[i], g)
                f[i] += omega * (math.log(weights_a[i]) - s - f[i])
                error += abs(math.exp(f[i] + s) - weights_a[i])
        for j in range(num_columns):
            if weights_b[j] > 0:
                sums[j] = _log_sum(by_column[j], f)
                error += abs(math.exp(g[j] + sums[j]) - weights_b[j])
        if not error > tolerance or iteration >= max_iterations:
            break
        if iteration % BLOCK == 0:
            omega, settling, growths = _relaxation(omega, settling, error, before, growths)
            before = error
        for j in range(num_columns):
            if weights_b[j] > 0:
                g[j] += omega * (math.log(weights_b[j]) - sums[j] - g[j])
    similarity = 0.0
    for i in range(num_rows):
        for j in range(num_columns):
            similarity += math.exp(by_row[i, j] + f[i] + g[j]) * cosines[i, j]
    return similarity, error


@njit(cache=True, nogil=True, error_model="numpy")
def _log_sum(log_kernel: npt.NDArray[np.float64], potentials: npt.NDArray[np.float64]) -> float:
    """log Σ exp(log_kernel + potentials)."""
    largest = -np.inf
    for k in range(len(potentials)):
        largest = max(largest, log_kernel[k] + potentials[k])
    total = 0.0
    for k in range(len(potentials)):
        total += math.exp(log_kernel[k] + potentials[k] - largest)
    return largest + math.log(total)
