"""The client for asyncio against a real server."""

import asyncio

import pytest
from conftest import TASK
from mlgym import AsyncClient, ClientClosed, StepTimeout, StillRunning


def test_side_by_side() -> None:
    async def work() -> None:
        clients = [AsyncClient(patience_s=0.2) for _ in range(4)]
        await asyncio.gather(*(one.reset(**TASK, seed=i) for i, one in enumerate(clients)))
        replies = await asyncio.gather(*(one.step(f"sleep 0.5; echo {i}") for i, one in enumerate(clients)))
        assert [reply.observation for reply in replies] == ["0\n", "1\n", "2\n", "3\n"]
        assert [(await one.state()).seed for one in clients] == [0, 1, 2, 3]
        children = await clients[0].fork(2)
        assert {(await child.state()).seed for child in children} == {0}
        await asyncio.gather(*(one.close() for one in [*clients, *children]))

    asyncio.run(work())


def test_timeout_and_close() -> None:
    async def work() -> None:
        async with AsyncClient(patience_s=0.2) as client:
            await client.reset(**TASK)
            with pytest.raises(StepTimeout):
                await client.step("sleep 600", timeout=0.1)
            assert "sleep" not in (await client.interrupt()).observation
            running = asyncio.create_task(client.step("sleep 600"))
            await asyncio.sleep(0)
            with pytest.raises(StillRunning):
                await client.step("ls")
            await client.close()
            with pytest.raises(ClientClosed):
                await running

    asyncio.run(work())


def test_cancelled() -> None:
    async def work() -> None:
        async with AsyncClient(patience_s=0.2) as client:
            await client.reset(**TASK)
            running = asyncio.create_task(client.step("sleep 1; echo over"))
            await asyncio.sleep(0.05)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            assert (await client.wait()).observation == "over\n"

    asyncio.run(work())


def test_dropped() -> None:
    async def work() -> None:
        async with AsyncClient() as client:
            await client.reset(**TASK)
            await client.step("kept=here")
            client._connection.transport.abort()
            assert (await client.step("echo $kept")).observation == "here\n"

    asyncio.run(work())
