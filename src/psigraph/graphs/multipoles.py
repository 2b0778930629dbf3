"""Dipole and quadrupole of a dimer: another origin, another basis, and both rotated.

Quadrupoles are Q_ab = Σ q (r_a r_b - δ_ab r²/3) [e·Å²], traceless, without the factor 3/2 that some programs put in.

Their five real l = 2 components stand in e3nn's order, which follows from its axis y: (xz, xy, y², yz, z²-x²). The
change of basis is orthonormal: the norm of the five equals the Frobenius norm of the 3 × 3 tensor. It is the basis of
`e3nn.o3.ReducedTensorProducts("ij=ji", i="1o")`, and √5 times `e3nn.o3.wigner_3j(1, 1, 2)`.
"""

import numpy as np

_S2, _S6 = 1 / np.sqrt(2), 1 / np.sqrt(6)

#: QUADRUPOLE_BASIS[m, a, b]: component m of Q is Σ_ab QUADRUPOLE_BASIS[m, a, b] Q_ab.
QUADRUPOLE_BASIS = np.array(
    [
        [[0, 0, _S2], [0, 0, 0], [_S2, 0, 0]],  # √2 Q_xz
        [[0, _S2, 0], [_S2, 0, 0], [0, 0, 0]],  # √2 Q_xy
        [[-_S6, 0, 0], [0, 2 * _S6, 0], [0, 0, -_S6]],  # (2 Q_yy - Q_xx - Q_zz)/√6
        [[0, 0, 0], [0, 0, _S2], [0, _S2, 0]],  # √2 Q_yz
        [[-_S2, 0, 0], [0, 0, 0], [0, 0, _S2]],  # (Q_zz - Q_xx)/√2
    ]
)  # (5, 3, 3)


def traceless(tensor: np.ndarray) -> np.ndarray:
    """Return the symmetric traceless part of tensors (..., 3, 3)."""
    symmetric = (tensor + np.swapaxes(tensor, -1, -2)) / 2
    trace = np.trace(symmetric, axis1=-2, axis2=-1)
    return symmetric - trace[..., None, None] * np.eye(3) / 3


def quadrupole_components(quadrupole: np.ndarray) -> np.ndarray:
    """Return the real l = 2 components (..., 5) of tensors (..., 3, 3); trace and antisymmetric part drop out."""
    return np.einsum("mab,...ab->...m", QUADRUPOLE_BASIS, quadrupole)


def quadrupole_tensor(components: np.ndarray) -> np.ndarray:
    """Return the traceless symmetric tensors (..., 3, 3) of real l = 2 components (..., 5)."""
    return np.einsum("mab,...m->...ab", QUADRUPOLE_BASIS, components)


def shift_moments(
    charge: float | np.ndarray, dipole: np.ndarray, quadrupole: np.ndarray, shift: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return dipole (..., 3) [e·Å] and traceless quadrupole (..., 3, 3) [e·Å²] about an origin moved by `shift` [Å].

    With r' = r - d: µ' = µ - q d and Q' = Q + traceless(q d d - µ d - d µ), where q (...) is the total charge [e].
    """
    dipole, shift = np.asarray(dipole, dtype=np.float64), np.asarray(shift, dtype=np.float64)
    charge = np.asarray(charge, dtype=np.float64)[..., None]
    change = charge[..., None] * _outer(shift, shift) - _outer(dipole, shift) - _outer(shift, dipole)
    return dipole - charge * shift, traceless(np.asarray(quadrupole, dtype=np.float64) + change)


def _outer(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[..., :, None] * b[..., None, :]


def field_features(dipole: np.ndarray, quadrupole: np.ndarray, length_scale: float) -> np.ndarray:
    """Return the field node's features (..., 8): dipole and l = 2 components in internal units (irreps 1x1o+1x2e)."""
    return np.concatenate([dipole * length_scale, quadrupole_components(quadrupole) * length_scale**2], axis=-1)


def field_representation(matrices: np.ndarray) -> np.ndarray:
    """Return how orthogonal matrices (..., 3, 3) act on the field node's features: (..., 8, 8), for 1x1o+1x2e."""
    out = np.zeros((*matrices.shape[:-2], 8, 8))
    out[..., :3, :3] = matrices
    turned = np.einsum("...ac,...bd,ncd->...nab", matrices, matrices, QUADRUPOLE_BASIS)  # (..., 5, 3, 3)
    out[..., 3:, 3:] = np.einsum("mab,...nab->...mn", QUADRUPOLE_BASIS, turned)
    return out
