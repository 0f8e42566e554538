"""The columns that many tables have, and what they are all registered in."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, DateTime, ForeignKey, Integer, MetaData, Text, func

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def identity() -> Column[int]:
    """The row's own key."""
    return Column("id", BigInteger, primary_key=True, autoincrement=True)


def owner() -> Column[int]:
    """The facility whose row it is."""
    return Column("facility_id", Integer, ForeignKey("facilities.id"), nullable=False)


def words(name: str) -> Column[str]:
    """Text, empty where nothing is known."""
    return Column(name, Text, nullable=False, server_default="")


def count(name: str) -> Column[int]:
    """A number that begins at 0."""
    return Column(name, BigInteger, nullable=False, server_default="0")


def moment(name: str) -> Column[object]:
    """A time with its zone, now if not given."""
    return Column(name, DateTime(timezone=True), nullable=False, server_default=func.now())
