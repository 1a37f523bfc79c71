"""The webhook, on a real server that fails, hangs, refuses and restarts."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("httpx")
pytest.importorskip("starlette")

from agentreg.cli import main
from agentreg.extensions.service.mirror import News, Undelivered
from agentreg.extensions.service.mirror.webhook import WebhookMirror
from tests.extensions.service.driving import run, service
from tests.extensions.service.mirror.hubs import Hub

SCOUT = News("joined", 7, "2025-01-01T00:00:00Z", {"id": "scout"})


class Sleeps:
    """Waiting that takes no time, and is noted."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


def webhook(hub: Hub, **options: Any) -> tuple[WebhookMirror, Sleeps]:
    sleeps = Sleeps()
    options = {"sleep": sleeps, "jitter": lambda: 1.0, "instance": "here", **options}
    return WebhookMirror(hub.url, options.pop("secret", None), **options), sleeps


async def deliver(mirror: WebhookMirror, *news: News) -> None:
    try:
        await mirror.deliver(news or [SCOUT])
    finally:
        await mirror.close()


@run
async def test_news_are_posted_as_json() -> None:
    with Hub() as hub:
        mirror, _ = webhook(hub, headers={"Authorization": "Bearer x"})
        await deliver(mirror, News("resync", 7, "now"), SCOUT)
        posted = hub.next()

    assert posted.news == [
        {"type": "resync", "revision": 7, "time": "now", "agent": None},
        {"type": "joined", "revision": 7, "time": "2025-01-01T00:00:00Z", "agent": {"id": "scout"}},
    ]
    assert posted.headers["content-type"] == "application/json"
    assert posted.headers["authorization"] == "Bearer x"
    assert posted.headers["agentreg-instance"] == "here"
    assert "x-hub-signature-256" not in posted.headers


@run
async def test_with_a_secret_the_body_is_signed() -> None:
    with Hub() as hub:
        mirror, _ = webhook(hub, secret="s3cret")
        await deliver(mirror)
        posted = hub.next()

    expected = hmac.new(b"s3cret", posted.body, hashlib.sha256).hexdigest()
    assert posted.headers["x-hub-signature-256"] == f"sha256={expected}"


@run
async def test_every_post_has_a_key_of_its_own_and_a_repetition_the_same() -> None:
    with Hub(503) as hub:
        mirror, _ = webhook(hub)
        await mirror.deliver([SCOUT])
        await mirror.deliver([SCOUT])
        await deliver(mirror, News("left", 8, "now", {"id": "scout"}))
        keys = [posted.key for posted in hub.all()]

    assert keys == ["here-7", "here-7", "here-7-2", "here-8"]


@run
async def test_a_hub_that_fails_is_asked_again_after_pauses_that_double() -> None:
    with Hub(500, 502, 408, 429, 503) as hub:
        mirror, sleeps = webhook(hub)
        await deliver(mirror)
        posted = hub.all()

    assert sleeps.seconds == [0.5, 1.0, 2.0, 4.0, 8.0]
    assert len({each.body for each in posted}) == 1
    assert len(posted) == 6


@run
async def test_pauses_vary_by_half_and_end_at_a_minute() -> None:
    with Hub(*[500] * 11) as hub:
        mirror, sleeps = webhook(hub, jitter=lambda: 0.0)
        await deliver(mirror)

    assert sleeps.seconds[0] == 0.25
    assert sleeps.seconds[-1] == 30.0


@run
async def test_the_hubs_wish_to_be_left_alone_is_respected() -> None:
    answers = [
        (429, {"Retry-After": "17"}),
        (503, {"Retry-After": "Thu, 01 Jan 1970 00:01:40 GMT"}),
        (503, {"Retry-After": "soon"}),
        (503, {"Retry-After": "99999999"}),
    ]
    with Hub(*answers) as hub:
        mirror, sleeps = webhook(hub, clock=lambda: 0.0)
        await deliver(mirror)

    assert sleeps.seconds == [17.0, 100.0, 2.0, 3600.0]


@run
async def test_what_a_hub_refuses_is_dropped_with_a_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with Hub(400, 302) as hub:
        mirror, sleeps = webhook(hub)
        await mirror.deliver([SCOUT])
        await mirror.deliver([SCOUT])
        await deliver(mirror)
        posted = hub.all()

    assert (len(posted), sleeps.seconds, mirror.refused) == (3, [], 2)
    assert "answers 400: 1 news were refused" in caplog.text
    assert "answers 302" in caplog.text


@run
async def test_a_hub_that_hangs_is_asked_again() -> None:
    with Hub(None) as hub:
        mirror, sleeps = webhook(hub, timeout=0.5)
        await deliver(mirror)
        keys = [posted.key for posted in hub.all()]

    assert len(keys) >= 2  # more, where even the answer of a hub that doesn't hang takes so long
    assert {*keys} == {"here-7"}
    assert sleeps.seconds


@run
async def test_a_hub_that_is_restarted_gets_what_it_missed() -> None:
    first = Hub()
    first.close()
    started: list[Hub] = []

    async def restart(seconds: float) -> None:
        if not started:
            started.append(Hub(port=first.port))

    mirror = WebhookMirror(first.url, sleep=restart)
    try:
        await deliver(mirror)

        assert started[0].next().news[0]["agent"] == {"id": "scout"}
    finally:
        started[0].close()


@run
async def test_after_the_last_attempt_it_says_so() -> None:
    with Hub(500, 500, 500) as hub:
        mirror, sleeps = webhook(hub, attempts=3)
        with pytest.raises(Undelivered, match="no delivery in 3 attempts, the last: it answers 500"):
            await deliver(mirror)

    assert len(sleeps.seconds) == 2


@pytest.mark.parametrize("url", ["", "hub.example", "ftp://hub.example/", "http://", "http://a:b"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="a mirror's url"):
        WebhookMirror(url)


def test_numbers_and_secrets_are_checked() -> None:
    with pytest.raises(ValueError, match="secret: it is empty"):
        WebhookMirror("http://hub.example", "")
    with pytest.raises(ValueError, match="attempts from 1 up"):
        WebhookMirror("http://hub.example", attempts=0)


def test_its_name_in_the_log_holds_no_secret() -> None:
    assert repr(WebhookMirror("https://me:secret@hub.example/x?key=1")) == "WebhookMirror('https://hub.example/x')"


# -- with the service -------------------------------------------------------------


@run
async def test_registering_goes_on_while_the_hub_hangs_and_all_of_it_arrives_later(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    with Hub(None, None) as hub:
        mirror, _ = webhook(hub, timeout=0.3)
        async with service(mirrors=[mirror]) as client:
            await client.register(id="first")
            await asyncio.to_thread(hub.next)  # it hangs now
            for number in range(20):
                await client.register(id=f"agent-{number}")

            heard: list[dict[str, Any]] = []
            while {"agent-19", "first"} - {each["agent"]["id"] for each in heard if each["agent"]}:
                heard += (await asyncio.to_thread(hub.next)).news

    revisions = [each["revision"] for each in heard]
    assert revisions == sorted(revisions)


@run
async def test_the_end_does_not_wait_for_a_hub_that_hangs() -> None:
    with Hub(None) as hub:
        mirror = WebhookMirror(hub.url, timeout=60)
        async with service(mirrors=[mirror]) as client:
            await client.register(id="scout")
            await asyncio.to_thread(hub.next)
        # reaching this line is the test: pytest's time-out would end it otherwise


def test_the_command_mirrors_to_an_address_and_signs_with_a_file(tmp_path: Path) -> None:
    pytest.importorskip("uvicorn")
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    options = ["--port", "0", "--workspace", str(tmp_path / "workspace"), "--mirror-secret-file", str(secret)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with Hub() as hub:
        argv = [sys.executable, "-m", "agentreg", "serve", *options, "--mirror", hub.url]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=environment) as process:
            assert process.stdout is not None
            try:
                process.stdout.readline()
                assert main(["register", "--workspace", str(tmp_path / "workspace"), "--name", "scout"]) == 0
                posts = [hub.next()]
                while not any(each["type"] == "joined" for each in posts[-1].news):
                    posts.append(hub.next())
                process.terminate()
                assert process.wait(20) == 0
            finally:
                process.kill()

    (joined,) = [each for posted in posts for each in posted.news if each["type"] == "joined"]
    assert joined["agent"]["name"] == "scout"
    expected = hmac.new(b"s3cret", posts[0].body, hashlib.sha256).hexdigest()
    assert posts[0].headers["x-hub-signature-256"] == f"sha256={expected}"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--mirror", "hub"], "a mirror's url"),
        (["--mirror-secret-file", "{folder}/none"], "can't be read"),
        (["--mirror-secret-file", "{folder}/empty"], "is empty"),
        (["--mirror-secret-file", "{folder}/secret"], "nothing to sign"),
    ],
)
def test_bad_options_are_refused_with_2(
    options: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "secret").write_text("s3cret")

    code = main(["serve", "--workspace", str(tmp_path), *(each.format(folder=tmp_path) for each in options)])

    assert code == 2
    assert told in capsys.readouterr().err
