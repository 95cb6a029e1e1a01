"""Errors with a `code`, which becomes the run's."""

from __future__ import annotations

from typing import Any


class DockrionError(Exception):
    def __init__(self, message: str, code: str = "INTERNAL_ERROR") -> None:
        super().__init__(message)
        self.message = message
        self.code = code

    def to_dict(self) -> dict[str, Any]:
        return {"error": type(self).__name__, "code": self.code, "message": self.message}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.message!r}, code={self.code!r})"


class ValidationError(DockrionError):
    def __init__(self, message: str) -> None:
        super().__init__(message, "VALIDATION_ERROR")


class AuthError(DockrionError):
    def __init__(self, message: str) -> None:
        super().__init__(message, "AUTH_ERROR")


class RateLimitError(AuthError):
    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.code = "RATE_LIMIT_EXCEEDED"


class NotFoundError(DockrionError):
    def __init__(self, message: str) -> None:
        super().__init__(message, "NOT_FOUND")


class ConflictError(DockrionError):
    def __init__(self, message: str) -> None:
        super().__init__(message, "CONFLICT")


class ServiceUnavailableError(DockrionError):
    def __init__(self, message: str) -> None:
        super().__init__(message, "SERVICE_UNAVAILABLE")


class DeploymentError(DockrionError):
    def __init__(self, message: str) -> None:
        super().__init__(message, "DEPLOYMENT_ERROR")


class PolicyViolationError(DockrionError):
    def __init__(self, message: str) -> None:
        super().__init__(message, "POLICY_VIOLATION")


class MissingSecretError(ValidationError):
    def __init__(self, missing: list[str]) -> None:
        super().__init__(f"missing secrets: {', '.join(missing)}")
        self.code = "MISSING_SECRET"
        self.missing = missing


class BuildConflictError(DockrionError):
    def __init__(self, message: str, conflicts: list[Any] | None = None) -> None:
        super().__init__(message, "BUILD_CONFLICT")
        self.conflicts = conflicts or []
