"""A linear two-sided sketch of a low-rank matrix: two thin products that add up over parties, and the matrix back from their sum.

Y = M·Ω says where the columns of M lie, Z = Ψ·M says what M does there. Both are linear, so sums of sketches are sketches of sums.
Tropp, Yurtsever, Udell and Cevher 2017, "Practical sketching algorithms for low-rank matrix approximation", algorithm 4.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from secagg.lora.public import public_matrix


@dataclass(frozen=True, slots=True)
class Sketch:
    """The shape of one sketch. Exact (to rounding) for any rows × columns matrix of rank at most `width`; `height` = 2·width + 1."""

    rows: int
    columns: int
    width: int

    @property
    def height(self) -> int:
        return 2 * self.width + 1

    @property
    def values(self) -> int:
        """How many numbers the sketch has: (rows + 2·columns)·width + columns."""
        return self.rows * self.width + self.height * self.columns

    @property
    def is_smaller(self) -> bool:
        """Whether it is smaller than the matrix itself."""
        return self.values < self.rows * self.columns

    def omega(self, seed: bytes, label: str) -> torch.Tensor:
        return public_matrix(seed, f"{label}/omega", self.columns, self.width)

    def psi(self, seed: bytes, label: str) -> torch.Tensor:
        return public_matrix(seed, f"{label}/psi", self.height, self.rows)

    def of_product(self, left: torch.Tensor, right: torch.Tensor, seed: bytes, label: str) -> tuple[torch.Tensor, torch.Tensor]:
        """(Y, Z) of left·right in float64, without forming the product."""
        return left @ (right @ self.omega(seed, label)), (self.psi(seed, label) @ left) @ right

    def rebuild(self, y: torch.Tensor, z: torch.Tensor, seed: bytes, label: str) -> torch.Tensor:
        """The matrix from its sketch: Q = orth(Y), X = argmin ‖ΨQX − Z‖, M ≈ Q·X; float64, rows × columns."""
        basis, _ = torch.linalg.qr(y.double())
        # Ψ has twice as many rows as Q columns, so the least-squares problem is well conditioned and noise in Z is averaged, not raised.
        core = torch.linalg.lstsq(self.psi(seed, label) @ basis, z.double(), driver="gelsd").solution
        matrix: torch.Tensor = basis @ core
        return matrix
