"""Autocovariances at five octaves: 133 statistics whose best multipliers have a closed form.

With u = T(y - 1/2) in three opponent colours and u_s its low-pass copies (s binomial blurs, the s-th with its
taps 2^s pixels apart; no decimation; all periodic), the statistics are the three means of u and, at each octave s,

    mean over pixels of u_s,i(k) u_s,j(k + 2^s tau)

for luminance with |tau| <= 2 (13 lags up to sign), each chroma with |tau| <= 1 (5), and the three pairs of
colours at lag 0. The lags reach 32 pixels with 130 numbers, where a square window of lags would need thousands.
All are sums over the frequencies of one cross-spectrum (Wiener and Khinchin), which is how they are computed.

For a Gaussian texture these energies are quadratic, so Eq. 4 is least squares in lam and is solved exactly: with
A_k the (symmetric, shift-invariant) matrix of statistic k and y = x + sigma eps,

    lam = argmin E|sum_k lam_k A_k (y - m) - eps|^2   =>   G lam = b,
    G_kl = tr A_k A_l (S + sigma^2),   b_k = sigma tr A_k,

all traces being sums over frequencies with S the spectrum of x. It is score matching (Hyvarinen 2005) for a
Gaussian Markov random field, and plays the part of the reference measure of De Bortoli et al. (2021): what the
network learns starts from the best Gaussian model instead of from nothing.
"""

import math
from functools import cache, lru_cache

import torch
from torch import Tensor, nn

from lib.statistics.gaussian import GaussianTexture

OCTAVES = 5
RIDGE = 1e-4  # of the normalised G: five octaves overlap, and a patch is a finite sample
PAIRS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
REACH = {(0, 0): 2, (1, 1): 1, (2, 2): 1}  # lags tau in units of the octave; other pairs at lag 0 only


def half_plane(reach: int) -> list[tuple[int, int]]:
    """Lags (i, j) with |i|, |j| <= reach, one of each pair +-tau: (2 reach + 1)^2 / 2 rounded up."""
    return [(i, j) for i in range(reach + 1) for j in range(-reach, reach + 1) if i > 0 or j >= 0]


LAGS = {pair: half_plane(REACH.get(pair, 0)) for pair in PAIRS}
DIM = 3 + OCTAVES * sum(len(lags) for lags in LAGS.values())


def opponent() -> Tensor:
    """Orthonormal opponent colours: luminance, red - blue, and green against both. [3,3]"""
    axes = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 2.0, -1.0]])
    return axes / axes.norm(dim=1, keepdim=True)


def lowpass(omega: Tensor, octave: int) -> Tensor:
    """Transfer function of the binomial filter (1 4 6 4 1)/16, taps 2^octave pixels apart, at frequencies omega."""
    gap = 2**octave
    return (6 + 8 * torch.cos(gap * omega) + 2 * torch.cos(2 * gap * omega)) / 16


def frequencies(height: int, width: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """omega along the rows [H,1] and columns [1,W/2+1] of rfft2, in radians a pixel."""
    rows = torch.fft.fftfreq(height, dtype=like.dtype, device=like.device)[:, None]
    columns = torch.fft.rfftfreq(width, dtype=like.dtype, device=like.device)[None]
    return 2 * math.pi * rows, 2 * math.pi * columns


class Quadratic(nn.Module):
    """Means and multi-octave autocovariances (see the head of this file); `dim` = 133."""

    name = "multi-octave autocovariance"
    dim = DIM
    colours: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("colours", opponent(), persistent=False)

    def forward(self, y: Tensor) -> Tensor:
        """f(y): [B,3,H,W] in [0,1] -> [B,133]."""
        u = torch.einsum("ij,bjhw->bihw", self.colours, y - 0.5)
        height, width = y.shape[-2:]
        U = torch.fft.rfft2(u, norm="forward")
        cross = torch.stack([(U[:, i] * U[:, j].conj()).real for i, j in PAIRS], 1)
        return _moments(u.mean((2, 3)), cross, (height, width))

    def expected(self, texture: GaussianTexture) -> Tensor:
        """E[f] of Gaussian textures on the torus that holds their tables of lags: [B,133], float64."""
        height, width = texture.covariance.shape[-2:]
        colours = self.colours.to(texture.mean)
        mean = (texture.mean - 0.5) @ colours.T
        spectrum = texture.spectrum(height, width).real / (height * width)
        spectrum = torch.einsum("ik,bhwkl,jl->bijhw", colours, spectrum, colours)
        cross = torch.stack([spectrum[:, i, j] for i, j in PAIRS], 1)
        cross[..., 0, 0] += torch.stack([mean[:, i] * mean[:, j] for i, j in PAIRS], 1)
        return _moments(mean, cross, (height, width))

    def maps(self, y: Tensor) -> Tensor:
        """What f averages, u_i(k - tau/2) u_j(k + tau/2) at each pixel k: [B,3,H,W] -> [B,133,H,W]."""
        u = torch.einsum("ij,bjhw->bihw", self.colours, y - 0.5)
        rows, columns = frequencies(y.shape[-2], y.shape[-1], u)
        found = [u]
        for octave in range(OCTAVES):
            for i, j in PAIRS:
                for lag in LAGS[i, j]:
                    whole = [2**octave * n for n in lag]
                    half = [n // 2 for n in whole]
                    ahead = [h - n for h, n in zip(half, whole, strict=True)]
                    found.append((u[:, i].roll(half, (-2, -1)) * u[:, j].roll(ahead, (-2, -1)))[:, None])
            blur = lowpass(rows, octave) * lowpass(columns, octave)
            u = torch.fft.irfft2(torch.fft.rfft2(u) * blur, s=y.shape[-2:])
        return torch.cat(found, 1)

    def predicted_noise(self, lam: Tensor, y: Tensor) -> Tensor:
        """grad_y[N lam.f(y)] written out as a filter (the same numbers as by automatic differentiation).

        lam [B,133], y [B,3,H,W] -> [B,3,H,W]; differentiable in lam.
        """
        height, width = y.shape[-2:]
        u = torch.einsum("ij,bjhw->bihw", self.colours, y - 0.5)
        U = torch.fft.rfft2(u)
        filters = _filters(_atoms(height, width, y.device)[0], lam[:, 3:], (height, width // 2 + 1))
        gradient = torch.fft.irfft2(torch.einsum("bijhw,bjhw->bihw", filters.to(U.dtype), U), s=(height, width))
        return torch.einsum("ij,bihw->bjhw", self.colours, gradient + lam[:, :3, None, None])

    def multipliers(self, x: Tensor, sigma: Tensor) -> Tensor:
        """The least-squares lam of Eq. 4 for the Gaussian texture of x: x [B,3,H,W] (or one), sigma [B] -> [B,133]."""
        with torch.no_grad():
            x = x.float()
            u = torch.einsum("ij,bjhw->bihw", self.colours, x - 0.5)
            mean = u.mean((2, 3))
            spectrum = real_spectrum(u - mean[:, :, None, None])
            atoms = _atoms(x.shape[-2], x.shape[-1], x.device)
            lam, at_zero = _solve(atoms, spectrum, sigma.float())
            # grad of the quadratic part at constant m is A(0) m; the means take it away again
            return torch.cat([-(at_zero @ mean.double()[:, :, None])[..., 0], lam], 1).float()

    def expected_loss(self, lam: Tensor, sigma: Tensor, height: int, width: int) -> Tensor:
        """E|eps_hat - eps|^2 per pixel and channel of these multipliers on the Gaussian texture of x: [B].

        At the least-squares solution it is 1 - b.lam / (3N), with b_k = sigma tr A_k.
        """
        spectra, weights, _ = _atoms(height, width, lam.device)
        traces = torch.cat([a @ weights * _basis(*p).trace() for a, p in zip(spectra, PAIRS, strict=True)])
        gain = lam[:, 3:].double() @ traces.double()[_order(lam.device)]
        return (1 - sigma * gain / (3 * height * width)).float()


def _moments(mean: Tensor, cross: Tensor, shape: tuple[int, int]) -> Tensor:
    """f from means [B,3] and Re of the cross-spectra of u [B,6,H,W/2+1], u of size `shape`: [B,133]."""
    rows, columns = frequencies(*shape, mean)
    parts = [mean]
    for octave in range(OCTAVES):
        parts.append(_covariances(cross, shape, 2**octave))
        cross = cross * (lowpass(rows, octave) * lowpass(columns, octave)) ** 2
    return torch.cat(parts, 1)


def _covariances(cross: Tensor, shape: tuple[int, int], gap: int) -> Tensor:
    """Means of u_i(k) u_j(k + gap tau), u of size `shape`, from Re of their cross-spectra [B,6,H,W/2+1]: [B,26]."""
    tables = torch.fft.irfft2(cross, s=shape, norm="forward")
    height, width = shape
    found = []
    for pair, table in zip(PAIRS, tables.unbind(1), strict=True):
        found += [table[:, gap * di % height, gap * dj % width] for di, dj in LAGS[pair]]
    return torch.stack(found, 1)


def real_spectrum(u: Tensor) -> Tensor:
    """Re of the cross-spectrum of u [B,3,H,W] (zero mean) -> [B,3,3,H,W/2+1], trace summing to the energy.

    Taken of the periodic component (Moisan 2011), so that opposite edges that do not meet leave no cross.
    """
    height, width = u.shape[-2:]
    U = torch.fft.rfft2(u) - _smooth_component(u)
    return torch.einsum("bihw,bjhw->bijhw", U, U.conj()).real / (height * width)


def periodic_component(x: Tensor) -> Tensor:
    """The periodic component of x [B,3,H,W] (Moisan 2011): x less a smooth image that carries its border jumps.

    Statistics here are periodic; measured on this component of a photograph they do not see its frame.
    """
    return x - torch.fft.irfft2(_smooth_component(x), s=x.shape[-2:])


def _smooth_component(u: Tensor) -> Tensor:
    """FFT of the smooth part of the periodic-plus-smooth decomposition (Moisan 2011, eq. 11)."""
    height, width = u.shape[-2:]
    v = torch.zeros_like(u)
    jump = u[..., -1, :] - u[..., 0, :]
    v[..., 0, :] += jump
    v[..., -1, :] -= jump
    jump = u[..., :, -1] - u[..., :, 0]
    v[..., :, 0] += jump
    v[..., :, -1] -= jump
    rows, columns = frequencies(height, width, u)
    laplacian = 2 * torch.cos(rows) + 2 * torch.cos(columns) - 4
    laplacian[0, 0] = 1
    smooth = torch.fft.rfft2(v) / laplacian
    smooth[..., 0, 0] = 0
    return smooth


@lru_cache(maxsize=8)  # sizes; one of 512x512 takes 66 MiB
def _atoms(height: int, width: int, device: torch.device) -> tuple[list[Tensor], Tensor, Tensor]:
    """Spectra a_k(omega) of the matrices A_k by pair of colours, the weights of rfft's frequencies, and G at S = 1."""
    w1, w2 = frequencies(height, width, torch.empty(0, dtype=torch.float64))
    twice = torch.full((height, width // 2 + 1), 2.0, dtype=torch.float64)
    twice[:, 0] = 1
    if width % 2 == 0:
        twice[:, -1] = 1
    low, spectra = torch.ones_like(twice), {pair: [] for pair in PAIRS}  # type: ignore[var-annotated]
    for octave in range(OCTAVES):
        gap = 2**octave
        for pair in PAIRS:
            # d/du of u_i(k) u_j(k + tau) + the transpose: 2 cos on the diagonal, 1 off it
            gain = 2.0 if pair[0] == pair[1] else 1.0
            spectra[pair] += [gain * low**2 * torch.cos(gap * (i * w1 + j * w2)) for i, j in LAGS[pair]]
        low = low * lowpass(w1, octave) * lowpass(w2, octave)
    stacked = [torch.stack(spectra[pair]).flatten(1) for pair in PAIRS]
    ones = torch.eye(3, dtype=torch.float64)[None, :, :, None].expand(1, 3, 3, twice.numel())
    white = _gram(stacked, ones * twice.flatten())[0]
    return [a.float().to(device) for a in stacked], twice.flatten().float().to(device), white.to(device)


def _basis(i: int, j: int) -> Tensor:
    """Symmetric 3x3 matrix with ones at (i, j) and (j, i)."""
    m = torch.zeros(3, 3)
    m[i, j] = m[j, i] = 1
    return m


def _gram(atoms: list[Tensor], spectrum: Tensor) -> Tensor:
    """G_kl = sum over omega of a_k a_l tr(C_k C_l S): spectrum [B,3,3,n] (weights included) -> [B,K,K]."""
    rows = []
    for a, p in zip(atoms, PAIRS, strict=True):
        row = []
        for b, q in zip(atoms, PAIRS, strict=True):
            weight = torch.einsum("ij,bjin->bn", _mix(p, q, spectrum.dtype, spectrum.device), spectrum)
            row.append(
                torch.einsum("kn,bn,ln->bkl", a, weight, b)
                if set(p) & set(q)
                else weight.new_zeros(len(weight), len(a), len(b))
            )
        rows.append(torch.cat(row, 2))
    gram = torch.cat(rows, 1)
    return (gram + gram.transpose(1, 2)) / 2


# Constants are made once a device: a copy to the GPU in every step would make the host wait for it.


@cache
def _mix(p: tuple[int, int], q: tuple[int, int], dtype: torch.dtype, device: torch.device) -> Tensor:
    """The product of two `_basis` matrices, which is zero unless the pairs share a colour: [3,3]."""
    return (_basis(*p) @ _basis(*q)).to(device, dtype)


@cache
def _order(device: torch.device) -> Tensor:
    """From `_atoms`' order (pair, octave, lag) to that of f (octave, pair, lag)."""
    places, start = {}, 0
    for pair in PAIRS:
        for octave in range(OCTAVES):
            places[octave, pair] = range(start, start + len(LAGS[pair]))
            start += len(LAGS[pair])
    order = [k for octave in range(OCTAVES) for pair in PAIRS for k in places[octave, pair]]
    return torch.tensor(order, device=device)


@cache
def _position(device: torch.device) -> Tensor:
    """The inverse of `_order`."""
    return torch.argsort(_order(device))


def _solve(atoms: tuple[list[Tensor], Tensor, Tensor], spectrum: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
    """G lam = b for each image; returns lam [B,130] in f's order and A(0) [B,3,3] (colour matrix at omega = 0)."""
    spectra, weights, white = atoms
    signal = _gram(spectra, spectrum.flatten(3) * weights).double()
    gram = signal + sigma.double()[:, None, None] ** 2 * white
    traces = torch.cat([a @ weights * _basis(*p).trace() for a, p in zip(spectra, PAIRS, strict=True)]).double()
    size = gram.diagonal(dim1=1, dim2=2).clamp_min(1e-30).sqrt()
    normal = gram / size[:, :, None] / size[:, None, :] + RIDGE * torch.eye(len(traces), device=gram.device)
    right = (sigma.double()[:, None] * traces / size)[..., None]
    solution, _ = torch.linalg.solve_ex(normal, right, check_errors=not normal.is_cuda)  # the GPU's host would wait
    lam = (solution[..., 0] / size)[:, _order(normal.device)]
    at_zero = _filters([a[:, :1].double() for a in spectra], lam, (1, 1))[..., 0, 0]
    return lam, at_zero


def _filters(spectra: list[Tensor], lam: Tensor, shape: tuple[int, int]) -> Tensor:
    """A(omega) = sum_k lam_k a_k(omega) C_k, what the quadratic energy multiplies u by: [B,3,3,*shape]."""
    lam, start, entries = lam[:, _position(lam.device)], 0, {}
    for a, (i, j) in zip(spectra, PAIRS, strict=True):
        entries[i, j] = entries[j, i] = (lam[:, start : start + len(a)] @ a).unflatten(1, shape)
        start += len(a)
    return torch.stack([torch.stack([entries[i, j] for j in range(3)], 1) for i in range(3)], 1)
