"""A provider over a real connection: what it answers is bounded before it is read."""

import asyncio
from collections.abc import Sequence

import pytest
from aiohttp import web

from cem.io.http_client import AiohttpClient
from cem.io.tariffs import price_source
from cem.model.errors import GridError
from cem.model.market import MarketPrice, PriceService
from support.market import awattar_day, utc

START, END = utc("2026-01-05T23:00"), utc("2026-01-06T23:00")


def served(answer: web.Response) -> Sequence[MarketPrice]:
    """The prices that are read of an answer; raises as the source does."""

    async def serve(request: web.Request) -> web.Response:
        assert request.path == "/v1/marketdata"
        return answer

    async def whole() -> Sequence[MarketPrice]:
        app = web.Application()
        app.router.add_get("/v1/marketdata", serve)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        service = PriceService("awattar", "EUR", country="DE", url=f"http://{host}:{port}/")
        source = price_source(service, AiohttpClient(5.0))
        try:
            return await source.prices(START, END)
        finally:
            await source.close()
            await runner.cleanup()

    return asyncio.run(whole())


def test_a_day_comes_over_the_wire() -> None:
    assert len(served(web.json_response(awattar_day(START, range(24))))) == 24


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda: web.Response(body=b" " * (1024 * 1024 + 1)), "more than 1048576 bytes"),
        (lambda: web.Response(status=302, headers={"Location": "http://192.0.2.1/"}), "status 302"),
    ],
)
def test_an_answer_that_is_too_big_or_leads_elsewhere_is_refused(answer: type[web.Response], words: str) -> None:
    with pytest.raises(GridError, match=words):
        served(answer())
