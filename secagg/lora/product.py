"""The exact mean of B·A, opened densely or as a sketch, whichever is smaller; then cut back to the adapter's rank.

A party sends the change of its product, B'·A' − B·A = [B' | −B]·[A' ; A]. All parties share B·A, so the sum over n of them has rank at
most (n + 1)·r: a sketch of that width loses nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from typing_extensions import override

from secagg.errors import ConfigError
from secagg.lora.average import FedIT
from secagg.lora.change import apply_delta
from secagg.lora.names import Pair, Part, pairs, part
from secagg.lora.rule import Rule
from secagg.lora.sketch import Sketch
from secagg.lora.state import State, Tensors

_DENSE, _RANGE, _CORANGE = ".product", ".product.range", ".product.corange"


def _left(b: torch.Tensor) -> torch.Tensor:
    return b.detach().double().flatten(1)


def _right(a: torch.Tensor) -> torch.Tensor:
    return a.detach().double().flatten(1)


@dataclass(frozen=True, slots=True)
class ExactProduct(Rule):
    """Opens mean(B·A) exactly (FlexLoRA, Bai et al. 2024; the sum that FedEx-LoRA and LoRA-FAIR need as well).

    `parties` is the most that may take part in a round: the sketch is exact up to it. `seed` is public and the same everywhere.
    `mean_products` gives the dense means, to add to the base (FedEx) or to correct factors with (LoRA-FAIR); `incoming` cuts each to the
    best approximation of its rank by SVD and loses the rest. One party or the coordinator computes `incoming` and publishes the result:
    two linear algebra libraries may return factors that differ in the last bits.
    """

    parties: int
    seed: bytes = b"secagg product sketch"
    name: ClassVar[str] = "product"

    def __post_init__(self) -> None:
        if self.parties < 1:
            raise ConfigError(f"parties={self.parties}: the sketch is sized by the most parties of a round")

    @override
    def trains(self, tensor: str, round: int) -> bool:
        return FedIT().trains(tensor, round)

    @override
    def outgoing(self, old: Tensors, new: Tensors, round: int) -> State:
        found = _pairs(old)
        sent = {name: step for name, step in FedIT().outgoing(old, new, round).items() if part(name) not in (Part.A, Part.B)}
        for pair in found:
            left = torch.cat([_left(new[pair.b]), -_left(old[pair.b])], dim=1)
            right = torch.cat([_right(new[pair.a]), _right(old[pair.a])], dim=0)
            sent.update(self._send(pair.stem, left, right, self._sketch(old, pair)))
        return dict(sorted(sent.items()))

    def _send(self, stem: str, left: torch.Tensor, right: torch.Tensor, sketch: Sketch) -> State:
        if not sketch.is_smaller:
            return {stem + _DENSE: (left @ right).float()}
        y, z = sketch.of_product(left, right, self.seed, stem)
        return {stem + _RANGE: y.float(), stem + _CORANGE: z.float()}

    def _sketch(self, old: Tensors, pair: Pair) -> Sketch:
        a, b = old[pair.a], old[pair.b]
        return Sketch(rows=b.shape[0], columns=a[0].numel(), width=(self.parties + 1) * a.shape[0])

    def mean_products(self, old: Tensors, mean: Tensors) -> State:
        """Stem of the matrix to mean(B·A), float64, out × in (a convolution's kernel flattened), without the scaling alpha / r."""
        products = {}
        for pair in _pairs(old):
            before = _left(old[pair.b]) @ _right(old[pair.a])
            products[pair.stem] = before + self._open(pair.stem, mean, self._sketch(old, pair))
        return products

    def _open(self, stem: str, mean: Tensors, sketch: Sketch) -> torch.Tensor:
        due = {stem + _RANGE: (sketch.rows, sketch.width), stem + _CORANGE: (sketch.height, sketch.columns)}
        if not sketch.is_smaller:
            due = {stem + _DENSE: (sketch.rows, sketch.columns)}
        for name, shape in due.items():
            if name not in mean or tuple(mean[name].shape) != shape:
                raise ConfigError(f"the mean lacks {name} of shape {shape}: another rule, adapter or number of parties")
        opened = [torch.as_tensor(mean[name]).double() for name in due]
        return sketch.rebuild(opened[0], opened[1], self.seed, stem) if sketch.is_smaller else opened[0]

    @override
    def incoming(self, old: Tensors, mean: Tensors, round: int, *, own: Tensors | None = None) -> State:
        factors: State = {}
        products = self.mean_products(old, mean)
        for pair in _pairs(old):
            b, a = _split(products[pair.stem], _right(old[pair.a]))
            factors[pair.a] = a.reshape(old[pair.a].shape).to(old[pair.a].dtype)
            factors[pair.b] = b.reshape(old[pair.b].shape).to(old[pair.b].dtype)
        rest = {name: step for name, step in mean.items() if not name.endswith((_DENSE, _RANGE, _CORANGE))}
        return dict(sorted({**apply_delta(old, rest), **factors}.items()))


def _pairs(old: Tensors) -> list[Pair]:
    found = pairs(old)
    paired = {name for pair in found for name in (pair.a, pair.b)}
    if not found or (odd := [name for name in old if part(name) in (Part.A, Part.B) and name not in paired]):
        raise ConfigError(f"{odd[0] if found else 'this adapter'} has no pair of factors A and B: 'product' is for LoRA; use 'fedit'")
    return found


def _split(product: torch.Tensor, a: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The best B·A of the rank of `a` (Eckart and Young), singular values shared evenly, signs fixed by the largest entry of each row of A.

    A direction that the product does not use keeps a row in A of the old size, and zero in B: with both at zero it could never learn.
    """
    u, s, vh = torch.linalg.svd(product, full_matrices=False)
    u, s, vh = u[:, : len(a)], s[: len(a)], vh[: len(a)]
    sign = torch.sign(vh.gather(1, vh.abs().argmax(dim=1, keepdim=True)))
    unused = s <= 1e-12 * s.max()
    root = torch.where(unused, 0.0, s).sqrt()
    row = torch.where(unused, a.norm(dim=1).mean(), root)
    return (u * sign.T) * root, (vh * sign) * row[:, None]
