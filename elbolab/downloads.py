"""Small files from public places, over https alone."""

import time
from http.client import HTTPException
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    UnknownHandler,
)

from elbolab.errors import UserError
from elbolab.files import one_line

__all__ = ["download"]

PATIENCE = 30
"""Seconds to wait for an answer, and for each part of it."""

LONGEST = 300
"""Seconds that a download may take in all."""

PIECE = 2**16


def download(url: str, largest: int) -> bytes:
    """What lies behind a URL; nothing is written.

    Neither the URL nor a place that it is redirected to may be other than https, so that nobody on
    the way can change what is read.

    Args:
        url: Where it lies.
        largest: Bytes that it may have.

    Raises:
        UserError: If it cannot be had, is too large or comes incomplete. Part of a sentence: why.
    """
    try:
        with opener().open(url, timeout=PATIENCE) as answer:
            expected = answer.headers.get("Content-Length")
            content = _read(answer, largest)
    except UserError:
        raise
    except HTTPError as error:
        raise UserError(f"the answer is {error.code} {one_line(error.reason)}".rstrip()) from error
    except URLError as error:
        raise UserError(_reason(error.reason)) from error
    except (OSError, HTTPException, ValueError) as error:
        raise UserError(_reason(error)) from error
    if expected and expected.isdecimal() and len(content) < int(expected):
        raise UserError(f"it broke off after {len(content)} of {expected} bytes")
    return content


def opener() -> OpenerDirector:
    """What opens https and nothing else, redirections included; it uses ``https_proxy``."""
    director = OpenerDirector()
    for handler in (
        ProxyHandler,
        HTTPSHandler,
        HTTPRedirectHandler,
        HTTPErrorProcessor,
        HTTPDefaultErrorHandler,
        UnknownHandler,
    ):
        director.add_handler(handler())
    return director


def _reason(error: object) -> str:
    if str(error).startswith("unknown url type"):
        return "it is not, or leads to a place that is not, https"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return one_line(text) or "no answer"


def _read(answer: IO[bytes], largest: int) -> bytes:
    content, started = bytearray(), time.monotonic()
    while piece := answer.read(PIECE):
        content += piece
        if len(content) > largest:
            raise UserError(f"it has more than {largest / 2**20:g} MiB")
        if time.monotonic() - started > LONGEST:
            raise UserError(f"it takes longer than {LONGEST} s")
    return bytes(content)
