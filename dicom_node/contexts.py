"""Presentation contexts: which abstract syntaxes are served, and in which transfer syntax each is taken.

Storage takes every SOP class, private and future ones too, and every transfer syntax, because data sets are
kept as they come (PS3.4 B.4.1, level 2 conformance).
"""

from __future__ import annotations

from collections.abc import Sequence

from pydicom._uid_dict import UID_dictionary
from pynetdicom import build_context
from pynetdicom.presentation import PresentationContext

from dicom_node.services import SERVICES
from dicom_node.syntaxes import BIG_ENDIAN, EXPLICIT, IMPLICIT
from pacs.encoded import WRITABLE

STANDARD_ROOT = "1.2.840.10008."
STORAGE_ROOT = "1.2.840.10008.5.1.4.1.1."


def is_storage(abstract_syntax: str) -> bool:
    """Whether C-STORE may be asked for under it: known storage classes, those to come, and private ones."""
    if not abstract_syntax.startswith(STANDARD_ROOT):
        return True
    known = UID_dictionary.get(abstract_syntax)
    if known is None:
        return abstract_syntax.startswith(STORAGE_ROOT)
    name, kind = known[0], known[1]
    return kind == "SOP Class" and "Storage" in name and "Commitment" not in name and "Media" not in name


def choose(proposed: list[str], preferred: Sequence[str] = ()) -> str:
    """One of the proposed transfer syntaxes: the one that is preferred of the device; else the proposer's first, but
    Explicit Little Endian rather than Implicit or Big Endian, as it keeps the VRs of private elements."""
    for syntax in preferred:
        if syntax in proposed:
            return syntax
    first = proposed[0]
    return EXPLICIT if first in (IMPLICIT, BIG_ENDIAN) and EXPLICIT in proposed else first


def supported(
    requested: list[PresentationContext], preferred: Sequence[str] = ()
) -> list[PresentationContext]:
    """What we support of what is requested. Each request is narrowed to the transfer syntax that we choose, by the
    device's preferred ones."""
    offers: dict[str, list[str]] = {}
    for context in requested:
        syntaxes = [str(s) for s in context.transfer_syntax]
        abstract = str(context.abstract_syntax)
        if abstract in SERVICES:
            syntaxes = [s for s in syntaxes if s in WRITABLE]
        elif not is_storage(abstract):
            continue
        if syntaxes:
            chosen = choose(syntaxes, preferred)
            context.transfer_syntax = [chosen]
            offers.setdefault(abstract, []).append(chosen)
        else:
            offers.setdefault(abstract, []).append(EXPLICIT)  # the proposed ones are refused, not the class
    return [_context(abstract, syntaxes) for abstract, syntaxes in offers.items()]


def _context(abstract: str, syntaxes: list[str]) -> PresentationContext:
    """With both roles for storage: who asks for C-GET is given the images as SCP (PS3.7 D.3.3.4)."""
    context = build_context(abstract, syntaxes)
    if abstract not in SERVICES:
        context.scu_role = context.scp_role = True
    return context
