# SPDX-License-Identifier: Apache-2.0
"""Answers against the schemas of a seed's OpenAPI document."""

import json
from functools import cache
from pathlib import Path
from typing import Any


@cache
def _document(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text())
    return document


def check_answer(document: Path, schema: str, answer: Any) -> None:
    """Raises jsonschema_rs.ValidationError when `answer` is not what components/schemas/<schema> says."""
    import jsonschema_rs

    whole = _document(document)
    root = {"$ref": f"#/components/schemas/{schema}", "components": whole["components"]}
    jsonschema_rs.validator_for(root, validate_formats=True).validate(answer)
