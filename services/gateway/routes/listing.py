"""Lists that change slowly: answered with an ETag, or with 304 to whoever has them."""

import hashlib
from typing import Annotated

import msgspec
from fastapi import Header, Response

from services.gateway.routes.route import JSON

IfNoneMatch = Annotated[str | None, Header(max_length=256, description="ETag of the copy at hand.")]


def listed(document: object, if_none_match: str | None) -> Response:
    """The list with its ETag, or 304 when the caller has this very list."""
    body = msgspec.json.encode(document)
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"etag": etag, "cache-control": "private, no-cache"}
    if if_none_match and (if_none_match.strip() == "*" or etag in _tags(if_none_match)):
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type=JSON)


def _tags(header: str) -> set[str]:
    return {tag.strip().removeprefix("W/") for tag in header.split(",")}
