"""Each clause of PS3.18 that is claimed has a test, and each that has a test is claimed."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from deploy.conformance import SERVICES, statement
from tests.support.server import ROOT
from viewer_api.dicomweb.claims import CLAIMS, NOT_CLAIMED
from viewer_api.dicomweb.transactions import TRANSACTIONS, URI_SERVICE


def clauses_of_tests() -> Iterator[str]:
    for path in sorted((ROOT / "tests" / "conformance").glob("test_ps318_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for mark in node.decorator_list if isinstance(node, ast.FunctionDef) else ():
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.clause":
                    yield from (ast.literal_eval(argument) for argument in mark.args)


def test_every_claim_has_a_test_and_every_test_a_claim() -> None:
    """Else viewer_api/dicomweb/claims.py and tests/conformance/test_ps318_*.py have drifted apart."""
    assert set(clauses_of_tests()) == CLAIMS.keys()


def test_every_transaction_is_of_a_clause_that_is_claimed() -> None:
    named = {one.clause for one in (*TRANSACTIONS.values(), URI_SERVICE)} | SERVICES.keys()
    for clause in named:
        assert any(one == clause or one.startswith(f"{clause}.") for one in CLAIMS), clause


def test_the_statement_names_no_other_clause() -> None:
    known = CLAIMS.keys() | {clause for clause, _, _ in NOT_CLAIMED}
    for clause in re.findall(r"PS3\.18 ((?:[0-9]+|[A-Z])(?:\.[0-9]+)*)", statement()):
        if clause != "2025":
            assert any(one == clause or one.startswith(f"{clause}.") for one in known), clause


def test_the_order_is_that_of_the_standard() -> None:
    def place(clause: str) -> list[tuple[bool, int, str]]:
        return [(not step.isdigit(), int(step) if step.isdigit() else 0, step) for step in clause.split(".")]

    assert list(CLAIMS) == sorted(CLAIMS, key=place)
