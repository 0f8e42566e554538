"""Logs: JSON lines or colour, fixed event words, no patient data.

Event names are constants in the code; values go in keywords. Keywords that carry patient data are
dropped by name, from the attribute table, so that a slip does not reach a disk.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

from pacs.attributes import PHI_KEYWORDS


def _without_patients(
    _logger: Any, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    for key in PHI_KEYWORDS.intersection(event):
        event[key] = "***"
    return event


def configure(level: str = "info", *, process: str = "") -> None:
    """Send structlog and the standard library's logging to standard error."""
    pretty = sys.stderr.isatty()
    renderer: Any = structlog.dev.ConsoleRenderer() if pretty else structlog.processors.JSONRenderer()
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _without_patients,
    ]
    number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(process=process)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[handler], force=True)
    # pynetdicom prints whole identifiers at INFO and DEBUG.
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)


def get(name: str) -> structlog.typing.FilteringBoundLogger:
    bound: structlog.typing.FilteringBoundLogger = structlog.get_logger(source=name)
    return bound
