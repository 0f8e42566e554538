"""The bench of identity, in small: the same seed gives the same, and quality is what the product promises."""

from __future__ import annotations

from bench.identity import link, table
from bench.population import Noise, Population

PERSONS = 5_000


def test_precision_and_recall() -> None:
    quality = link(PERSONS)
    assert quality.precision >= 0.999
    assert quality.recall >= 0.95
    assert quality.reused_found >= 0.9 * quality.reused_told > 0
    assert quality.review_share < 0.05
    assert quality.candidates < 10
    assert table([quality]).row_count == 13


def test_a_population_is_drawn_from_its_seed() -> None:
    one, same, other = (Population(200, seed, Noise()).entries() for seed in (1, 1, 2))
    assert one == same
    assert one != other


def test_twins_alone() -> None:
    """Where every birth is of twins with one telephone, few of their pairs are linked."""
    quality = link(1_000, noise=Noise(twin_births=1, twin_same_phone=1, number_there=0))
    assert quality.precision >= 0.99  # 0.9942 was measured
