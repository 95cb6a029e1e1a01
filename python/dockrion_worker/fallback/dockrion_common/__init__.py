"""Names that agents import from the original's `dockrion_common`, where that is not installed: a logger and errors."""

from .errors import (
    AuthError,
    BuildConflictError,
    ConflictError,
    DeploymentError,
    DockrionError,
    MissingSecretError,
    NotFoundError,
    PolicyViolationError,
    RateLimitError,
    ServiceUnavailableError,
    ValidationError,
)
from .logger import DockrionLogger, configure_logging, get_logger

__all__ = [
    "AuthError",
    "BuildConflictError",
    "ConflictError",
    "DeploymentError",
    "DockrionError",
    "DockrionLogger",
    "MissingSecretError",
    "NotFoundError",
    "PolicyViolationError",
    "RateLimitError",
    "ServiceUnavailableError",
    "ValidationError",
    "configure_logging",
    "get_logger",
]
