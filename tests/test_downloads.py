"""Downloads: https alone, whole, not too large; what goes wrong is said in part of a sentence."""

import io
from email.message import Message
from urllib.error import URLError
from urllib.request import HTTPSHandler
from urllib.response import addinfourl

import pytest

from elbolab import downloads
from elbolab.downloads import download
from elbolab.errors import UserError


class Public(HTTPSHandler):
    """A public place: address → status, headers and content, or an error."""

    def __init__(self, places):
        super().__init__()
        self.places = places

    def https_open(self, request):
        reply = self.places[request.full_url]
        if isinstance(reply, Exception):
            raise reply
        status, fields, content = reply
        headers = Message()
        for name, value in fields.items():
            headers[name] = value
        answer = addinfourl(io.BytesIO(content), headers, request.full_url, status)
        answer.msg = "Somehow"
        return answer


@pytest.fixture
def publish(monkeypatch):
    """Puts contents in public places."""

    def run(**places):
        by_address = {f"https://x/{name}": reply for name, reply in places.items()}
        monkeypatch.setattr(downloads, "HTTPSHandler", lambda: Public(by_address))

    return run


def test_what_lies_there_is_read_also_behind_a_redirection(publish):
    publish(a=(302, {"Location": "https://x/b"}, b""), b=(200, {"Content-Length": "4"}, b"data"))
    assert download("https://x/a", 4) == b"data"
    assert download("https://x/b", 4) == b"data"


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        ((404, {}, b"data"), "the answer is 404 Somehow"),
        ((500, {}, b""), "the answer is 500 Somehow"),
        (
            (302, {"Location": "http://x/b"}, b""),
            "it is not, or leads to a place that is not, https",
        ),
        ((302, {"Location": "file:///etc/passwd"}, b""), "the answer is 302"),
        ((302, {"Location": "https://x/a"}, b""), "the answer is 302"),
        ((200, {}, b"12345"), "it has more than "),
        ((200, {"Content-Length": "9"}, b"1234"), "it broke off after 4 of 9 bytes"),
        (URLError(ConnectionRefusedError(111, "Connection refused")), "Connection refused"),
        (URLError("no host given"), "no host given"),
        (TimeoutError("timed out"), "timed out"),
        (TimeoutError(), "no answer"),
        (ConnectionResetError(104, "Connection reset by peer"), "Connection reset by peer"),
        (URLError("two\nlines"), r"two\nlines"),
    ],
)
def test_what_cannot_be_had_is_explained(publish, reply, message):
    publish(a=reply)
    with pytest.raises(UserError) as caught:
        download("https://x/a", 4)
    assert str(caught.value).startswith(message)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("url", ["http://x/a", "file:///etc/passwd", "ftp://x/a", "data:,x", "x"])
def test_only_https_is_opened(url):
    with pytest.raises(UserError, match="https|unknown url type"):
        download(url, 100)


def test_what_takes_too_long_is_given_up(publish, monkeypatch):
    publish(a=(200, {}, b"data"))
    monkeypatch.setattr(downloads, "LONGEST", -1)
    with pytest.raises(UserError, match="it takes longer than"):
        download("https://x/a", 4)
