"""The live page, in a real browser and over plain HTTP."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator

import pytest
from live_parts import Chromium, wait_for
from test_sinks import CHANGE, COUNTERS, LABELS, OTHERS, SCORES, STATUS

from edge_ser.errors import ConfigError
from edge_ser.live.events import MicrophoneState, Window
from edge_ser.live.sinks.page import MAX_VIEWERS, VIEWER_QUEUE, PageSink, split_address


@pytest.fixture
def page() -> Iterator[PageSink]:
    sink = PageSink("127.0.0.1:0", name="Living room", labels=LABELS, model="emodb-cnn")
    yield sink
    sink.close()


def window(time_s: float, label: str = "anger") -> Window:
    return Window(time_s, time_s - 3, time_s, label, 0.7, SCORES, SCORES, -31.2, 0.5)


def get(page: PageSink, path: str, host: str | None = None) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", page.port, timeout=5)
    connection.request("GET", path, headers={"Host": host} if host else {})
    return connection.getresponse()


def first_event(page: PageSink) -> dict[str, object]:
    line = get(page, "/events").readline()
    assert line.startswith(b"data: ")
    return dict(json.loads(line[6:]))


def test_the_browser_shows_what_is_said_as_it_is_said(page: PageSink, browser: Chromium) -> None:
    for number in range(20):
        page.handle(window(number / 2))
    browser.open(f"http://127.0.0.1:{page.port}/")
    wait_for(lambda: browser.evaluate("document.getElementById('label')?.textContent") == "anger")
    for event in (*OTHERS, STATUS, CHANGE):
        page.handle(event)
    text = "document.body.innerText"
    wait_for(lambda: "overruns" in browser.evaluate(text))
    shown = browser.evaluate(text)
    for part in ("Living room", "emodb-cnn", "USB mic", "70 %", "sadness", "overrun 1, about 0.5 s lost"):
        assert part in shown
    page.handle(window(20, "sadness"))
    wait_for(lambda: browser.evaluate("document.getElementById('label').textContent") == "sadness")
    page.handle(MicrophoneState(21.0, "absent", "USB mic", "unplugged"))
    wait_for(lambda: browser.evaluate("document.getElementById('microphone').dataset.state") == "absent")
    drawn = (
        "document.getElementById('timeline').getContext('2d').getImageData(0, 0, 9999, 200).data.some(v => v)"
    )
    assert browser.evaluate(drawn)
    assert browser.complaints == []


def test_the_page_fits_a_telephone(page: PageSink, browser: Chromium) -> None:
    page.handle(window(1.0))
    browser.open(f"http://127.0.0.1:{page.port}/", width=360, height=740, scale=2)
    wait_for(lambda: browser.evaluate("document.getElementById('label')?.textContent") == "anger")
    assert browser.evaluate("document.documentElement.scrollWidth") == 360


def test_the_browser_comes_back_by_itself_when_the_daemon_was_away(browser: Chromium) -> None:
    first = PageSink("127.0.0.1:0", name="one", labels=LABELS, model="m")
    browser.open(f"http://127.0.0.1:{first.port}/")
    wait_for(lambda: browser.evaluate("document.title") == "one")
    first.close()
    wait_for(lambda: browser.evaluate("document.getElementById('microphone').dataset.state") == "lost")
    second = PageSink(f"127.0.0.1:{first.port}", name="two", labels=LABELS, model="m")
    wait_for(lambda: browser.evaluate("document.title") == "two")
    second.close()


def test_whoever_joins_gets_the_last_five_minutes_and_no_more(page: PageSink) -> None:
    for number in range(800):
        page.handle(window(number / 2))
    page.handle(STATUS)
    hello = first_event(page)
    windows = hello["windows"]
    assert isinstance(windows, list)
    assert len(windows) == 601
    assert (windows[0]["time_s"], windows[-1]["time_s"]) == (99.5, 399.5)
    assert hello["status"]["counters"] == COUNTERS  # type: ignore[index]


def test_a_page_elsewhere_cannot_reach_us_under_a_name_of_its_own(page: PageSink) -> None:
    assert get(page, "/", host="evil.example").status == 403
    assert get(page, "/events", host="evil.example:8420").status == 403
    for host in ("localhost", "127.0.0.1:8420", "[::1]:8420", socket.gethostname(), "192.168.1.20"):
        assert get(page, "/", host=host).status == 200


def test_only_the_three_files_are_served_with_a_strict_policy(page: PageSink) -> None:
    for path in ("/", "/page.css", "/page.js"):
        answer = get(page, path)
        assert answer.status == 200
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'self'")
    for path in ("/page.py", "/../page.py", "/%2e%2e/page.py", "/etc/passwd", "/?x"):
        assert get(page, path).status == 404


def test_what_is_no_request_is_refused_and_a_second_host_name_too(page: PageSink) -> None:
    long = b"x" * 8300
    wrong = (
        b"\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.1 too\r\n\r\n",
        b"GET / SIP/2.0\r\n\r\n",
        b"GET /" + long + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: evil.example\r\nX: " + long[:8189] + b"Host: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: evil.example\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 100 + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\n\r\n",
    )
    for request in wrong:
        assert said_to(page, request).startswith(b"HTTP/1.0 400 "), request[:60]
    for method in (b"POST", b"HEAD", b"PUT"):
        request = method + b" / HTTP/1.1\r\nhost: localhost\r\n\r\n"
        assert said_to(page, request).startswith(b"HTTP/1.0 405 ")
    assert said_to(page, b"GET / HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.0 403 ")
    assert said_to(page, b"GET / HTTP/1.1\nHOST:localhost\n\n").startswith(b"HTTP/1.0 200 ")


def said_to(page: PageSink, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", page.port), timeout=5) as line:
        line.sendall(request)
        return line.makefile("rb").readline()


def test_viewers_are_limited_and_a_sleeping_one_is_let_go(page: PageSink) -> None:
    viewers = [get(page, "/events") for _ in range(MAX_VIEWERS)]
    assert get(page, "/events").status == 503
    for viewer in viewers:
        viewer.close()
    wait_for(lambda: page.handle(window(1.0)) or not page._viewers)
    sleeping = page.join()
    assert sleeping is not None
    for number in range(VIEWER_QUEUE + 1):
        page.handle(window(2.0 + number))
    assert not page.watches(sleeping[1])


def test_an_address_may_be_a_port_a_pair_or_ipv6() -> None:
    assert split_address("8420") == ("127.0.0.1", 8420)
    assert split_address("0.0.0.0:80") == ("0.0.0.0", 80)
    assert split_address("[::]:8420") == ("::", 8420)
    for wrong in ("", "here", "host:", "1.2.3.4:99999"):
        with pytest.raises(ConfigError, match="give HOST:PORT"):
            split_address(wrong)


def test_an_address_in_use_is_a_configuration_error(page: PageSink) -> None:
    with pytest.raises(ConfigError, match="choose another address"):
        PageSink(f"127.0.0.1:{page.port}", name="", labels=LABELS, model="")
