import os
from typing import Any

print("noise of the import")
os.write(1, b"raw noise\n")


def handler(payload: dict[str, Any]) -> dict[str, Any]:
    return {}
