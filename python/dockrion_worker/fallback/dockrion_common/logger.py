"""A logger that takes fields by keyword, on top of `logging`."""

from __future__ import annotations

import json
import logging
from typing import Any


class DockrionLogger:
    def __init__(self, service_name: str, log_level: str = "INFO", fields: dict[str, Any] | None = None) -> None:
        self._logger = logging.getLogger(service_name)
        self._fields = fields or {}

    def with_context(self, **fields: Any) -> DockrionLogger:
        return DockrionLogger(self._logger.name, fields={**self._fields, **fields})

    def debug(self, msg: str, **fields: Any) -> None:
        self._log(logging.DEBUG, msg, fields)

    def info(self, msg: str, **fields: Any) -> None:
        self._log(logging.INFO, msg, fields)

    def warning(self, msg: str, **fields: Any) -> None:
        self._log(logging.WARNING, msg, fields)

    warn = warning

    def error(self, msg: str, **fields: Any) -> None:
        self._log(logging.ERROR, msg, fields)

    def critical(self, msg: str, **fields: Any) -> None:
        self._log(logging.CRITICAL, msg, fields)

    def exception(self, msg: str, **fields: Any) -> None:
        self._log(logging.ERROR, msg, fields, exc_info=True)

    def _log(self, level: int, msg: str, fields: dict[str, Any], exc_info: Any = None) -> None:
        exc_info = fields.pop("exc_info", exc_info)
        whole = {**self._fields, **fields}
        text = f"{msg} {json.dumps(whole, default=str, ensure_ascii=False)}" if whole else msg
        self._logger.log(level, "%s", text, exc_info=exc_info)


def get_logger(service_name: str, log_level: str = "INFO") -> DockrionLogger:
    return DockrionLogger(service_name, log_level)


def configure_logging(service_name: str, log_level: str = "INFO") -> DockrionLogger:
    return DockrionLogger(service_name, log_level)
