"""Documents that change slowly, with an ETag; and tables as CSV files."""

import csv
import hashlib
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

import msgspec
from fastapi import Header, Response

from services.gateway.routes.route import JSON

CSV = "text/csv"
IfNoneMatch = Annotated[str | None, Header(max_length=256, description="ETag of the copy at hand.")]
_NOT_IN_A_FILE_NAME = re.compile(r"[^A-Za-z0-9._-]+")


def listed(document: object, if_none_match: str | None) -> Response:
    """The document with its ETag, or 304 when the caller has this very one."""
    return tagged(Response(msgspec.json.encode(document), media_type=JSON), if_none_match)


def tagged(response: Response, if_none_match: str | None) -> Response:
    """The response with the ETag of its body, or 304 when the caller has this very body."""
    etag = f'"{hashlib.sha256(response.body).hexdigest()[:32]}"'
    headers = {"etag": etag, "cache-control": "private, no-cache", "vary": "accept"}
    if if_none_match and (if_none_match.strip() == "*" or etag in _tags(if_none_match)):
        return Response(status_code=304, headers=headers)
    response.headers.update(headers)
    return response


def csv_file(name_parts: Sequence[str], columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Response:
    """A table as a CSV file (RFC 4180) under the name that its parts make."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows(rows)
    name = "-".join(_NOT_IN_A_FILE_NAME.sub("_", part) for part in name_parts)
    headers: Mapping[str, str] = {"content-disposition": f'attachment; filename="{name}.csv"'}
    return Response(text.getvalue(), headers=headers, media_type=f"{CSV}; charset=utf-8; header=present")


def _tags(header: str) -> set[str]:
    return {tag.strip().removeprefix("W/") for tag in header.split(",")}
