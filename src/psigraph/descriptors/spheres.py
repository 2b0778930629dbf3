"""Exact areas and volumes of overlapping spheres, by arcs.

What a sphere shows outside all others is bounded by arcs of circles. With a pole s and the field A = (s x n)/(1 + s.n)
on the unit sphere, whose curl is 1 except for -4 pi at n = -s, Stokes' theorem gives the area as a sum over arcs; the
vector area is half the integral of n x dn. (T. J. Richmond, J. Mol. Biol. 178, 63 (1984), solves the same problem by
Gauss and Bonnet, which needs the connectivity of the arcs; these integrals do not.) The divergence theorem turns areas
and vector areas into volumes. Nothing depends on a grid or on axes, so rotation changes results by rounding only.

Legend of shapes: m spheres with k caps each, C circles of all spheres, Q arcs of all circles.
"""

import numpy as np

#: Caps nearer than this to each other (in direction and size) are one cap; the first of them counts.
_SAME = 1e-10
#: Cosine beyond which a cap is nothing (above 1) or the whole sphere (below -1).
_EDGE = 1.0 - 1e-14


def _directions(count: int = 24) -> np.ndarray:
    """Unit vectors (count, 3) spread over the sphere by the golden angle: candidates for the pole."""
    z = 1 - (2 * np.arange(count) + 1) / count
    phi = np.pi * (3 - np.sqrt(5)) * np.arange(count)
    return np.stack([np.sqrt(1 - z * z) * np.cos(phi), np.sqrt(1 - z * z) * np.sin(phi), z], axis=1)


_CANDIDATES = _directions()


def caps_of(centres: np.ndarray, radii: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what sphere j covers of sphere i: axes (m, m, 3) and cosines of half angles (m, m).

    The cosine is 2 where nothing is covered (i itself included) and -2 where all is. Raises ValueError where two
    centres coincide.
    """
    vector = centres[None, :] - centres[:, None]  # (m, m, 3)
    distance = np.linalg.norm(vector, axis=-1)  # (m, m)
    np.fill_diagonal(distance, 1.0)
    if (distance < 1e-6).any():
        raise ValueError("two spheres have the same centre")
    cosine = (radii[:, None] ** 2 + distance**2 - radii[None, :] ** 2) / (2 * distance * radii[:, None])
    np.fill_diagonal(cosine, 2.0)
    return vector / distance[..., None], _clipped(cosine)


def _clipped(cosine: np.ndarray) -> np.ndarray:
    return np.where(cosine >= _EDGE, 2.0, np.where(cosine <= -_EDGE, -2.0, cosine))


def exposed(axes: np.ndarray, cosines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return area (m,) and vector area (m, 3) of what no cap covers, on m unit spheres with k caps each.

    `axes` (m, k, 3) unit vectors, `cosines` (m, k) of the caps' half angles; 2: no cap, -2: the whole sphere.
    """
    m = len(cosines)
    covered = np.any(cosines < -1, axis=1)  # (m,) bool
    real = (np.abs(cosines) <= 1) & ~covered[:, None]  # (m, k)
    real &= ~_repeated(axes, cosines, real)
    sphere, circle = np.nonzero(real)  # (C,) each: circles one after another
    if not len(sphere):
        return np.where(covered, 0.0, 4 * np.pi), np.zeros((m, 3))
    u, a = axes[sphere, circle], cosines[sphere, circle]  # (C, 3), (C,)
    e1, e2 = _frames(u)
    starts, stops = _free_arcs(u, e1, e2, a, axes[sphere], cosines[sphere], real[sphere], circle)  # (C, L) each
    on, slot = np.nonzero(stops > starts)  # (Q,) each: arcs one after another
    start, stop, frame = starts[on, slot], stops[on, slot], (u[on], e1[on], e2[on], a[on])
    pole, open_end = _poles(axes, cosines, real)
    area = np.bincount(sphere[on], -_area_terms(*frame, pole[sphere[on]], start, stop), minlength=m)
    parts = -_vector_terms(*frame, start, stop)  # (Q, 3)
    vector = np.stack([np.bincount(sphere[on], parts[:, x], minlength=m) for x in range(3)], axis=1)
    return np.where(covered, 0.0, area + 4 * np.pi * open_end), vector


def _repeated(axes: np.ndarray, cosines: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Which caps (m, k) stand earlier on the same sphere already."""
    same = (np.abs(cosines[:, :, None] - cosines[:, None, :]) < _SAME) & real[:, :, None] & real[:, None, :]
    if same.sum() == real.sum():  # every cap is like itself only
        return np.zeros_like(real)
    same &= np.linalg.norm(axes[:, :, None] - axes[:, None, :], axis=-1) < _SAME
    return np.tril(same, k=-1).any(axis=2)


def _frames(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two unit vectors (C, 3) that form a right-handed frame with each u: e1 x e2 = u."""
    helper = np.eye(3)[np.argmin(np.abs(u), axis=1)]
    e1 = _cross(helper, u)
    e1 /= np.sqrt(np.einsum("cx,cx->c", e1, e1))[:, None]
    return e1, _cross(u, e1)


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """`np.cross` of (C, 3) arrays without its overhead."""
    return np.stack([a[:, i] * b[:, j] - a[:, j] * b[:, i] for i, j in ((1, 2), (2, 0), (0, 1))], axis=1)


def _free_arcs(
    u: np.ndarray,
    e1: np.ndarray,
    e2: np.ndarray,
    a: np.ndarray,
    axes: np.ndarray,
    cosines: np.ndarray,
    real: np.ndarray,
    own: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return start and stop (C, 2k + 1) of each circle's arcs that no other cap covers; empty arcs have stop = start.

    A point of the circle at angle t is cos(alpha) u + sin(alpha) (cos(t) e1 + sin(t) e2). The other caps of its sphere:
    `axes` (C, k, 3), `cosines` (C, k), `real` (C, k); the circle's own one is number `own` (C,).
    """
    along = np.einsum("cx,ckx->ck", u, axes)
    x, y = np.einsum("cx,ckx->ck", e1, axes), np.einsum("cx,ckx->ck", e2, axes)
    across = np.hypot(x, y)  # (C, k)
    need = cosines - a[:, None] * along
    reach = np.sqrt(1 - a**2)[:, None] * across
    others = real.copy()
    others[np.arange(len(own)), own] = False
    half = np.arccos(np.clip(need / np.where(reach > 0, reach, 1.0), -1, 1))  # half width of the covered arc
    half = np.where(need <= -reach, np.pi, np.where(need >= reach, 0.0, half))
    half = np.where(others, half, 0.0)
    middle = np.arctan2(y, x)
    low, high = middle - half, middle + half
    # what sticks out of [-pi, pi] comes in at the other side
    lows = np.concatenate([np.maximum(low, -np.pi), np.where(low < -np.pi, low + 2 * np.pi, -np.pi)], axis=1)
    highs = np.concatenate(
        [np.minimum(high, np.pi), np.where(low < -np.pi, np.pi, np.where(high > np.pi, high - 2 * np.pi, -np.pi))],
        axis=1,
    )
    order = np.argsort(lows, axis=1)
    lows, highs = np.take_along_axis(lows, order, 1), np.take_along_axis(highs, order, 1)
    edge = np.full((len(u), 1), np.pi)
    start = np.concatenate([-edge, np.maximum.accumulate(highs, axis=1)], axis=1)
    stop = np.concatenate([lows, edge], axis=1)
    return start, np.maximum(stop, start)


def _poles(axes: np.ndarray, cosines: np.ndarray, real: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return for each sphere a pole s (m, 3) with -s far from all circles, and whether -s is exposed (m,)."""
    dots = -np.einsum("px,mkx->mpk", _CANDIDATES, axes)  # (m, 24, k) cosines of -s to the axes
    gap = np.arccos(np.clip(dots, -1, 1)) - np.arccos(np.clip(cosines, -1, 1))[:, None]  # negative inside the cap
    gap = np.where(real[:, None], gap, np.pi)
    best = np.abs(gap).min(axis=2).argmax(axis=1)
    return _CANDIDATES[best], (gap[np.arange(len(best)), best] > 0).all(axis=1)


def _area_terms(
    u: np.ndarray, e1: np.ndarray, e2: np.ndarray, a: np.ndarray, s: np.ndarray, start: np.ndarray, stop: np.ndarray
) -> np.ndarray:
    """Return the integral of A.dn over each arc (Q,), counter-clockwise about u.

    With cos(beta) = s.u and t counted from the direction of s, A.dn/dt = -cos(alpha) + (cos(alpha) + cos(beta)) /
    (1 + cos(alpha) cos(beta) + sin(alpha) sin(beta) cos(t)), whose integral is
    -cos(alpha) t + 2 atan(tan(t/2) cos((alpha + beta)/2) / cos((alpha - beta)/2)).
    """
    alpha, beta = np.arccos(a), np.arccos(np.clip(np.einsum("qx,qx->q", s, u), -1, 1))
    zero = np.arctan2(np.einsum("qx,qx->q", s, e2), np.einsum("qx,qx->q", s, e1))
    plus, minus = np.cos((alpha + beta) / 2), np.cos((alpha - beta) / 2)

    def integral(t: np.ndarray) -> np.ndarray:
        turns = np.round((t - zero) / (2 * np.pi))
        half = (t - zero) / 2 - np.pi * turns  # in [-pi/2, pi/2]
        # minus is never negative: atan2 stays in [-pi/2, pi/2] and grows with t where plus > 0, else falls
        angle = np.arctan2(plus * np.sin(half), minus * np.cos(half))
        return 2 * (angle + np.pi * turns * np.sign(plus)) - a * (t - zero)

    return integral(stop) - integral(start)


def _vector_terms(
    u: np.ndarray, e1: np.ndarray, e2: np.ndarray, a: np.ndarray, start: np.ndarray, stop: np.ndarray
) -> np.ndarray:
    """Return half the integral of n x dn over each arc (Q, 3), counter-clockwise about u."""
    sine = np.sqrt(1 - a**2)
    flat = (np.sin(stop) - np.sin(start))[:, None] * e1 + (np.cos(start) - np.cos(stop))[:, None] * e2
    return 0.5 * sine[:, None] * ((sine * (stop - start))[:, None] * u - a[:, None] * flat)
