"""The blocking client against a real server."""

import http.server
import os
import signal
import socketserver
import stat
import subprocess
import sys
import threading
import time
from importlib import metadata
from pathlib import Path

import pytest
from conftest import PATIENCE_S, TASK, drop, eventually
from mlgym import (
    CapacityReached,
    Client,
    ClientClosed,
    ConnectionLost,
    LocalServer,
    ServerError,
    ServerNotStarted,
    SessionLost,
    StepTimeout,
    StillRunning,
)
from mlgym import server as server_module
from mlgym.client import request_json
from mlgym.server import find_binary

BETTER = "printf 'def row_strategy(history):\\n    return 0\\n' > strategy.py"


class Beside(threading.Thread):
    """Runs something beside the test and keeps what came of it."""

    def __init__(self, work) -> None:
        super().__init__(daemon=True)
        self.work, self.result, self.error = work, None, None
        self.start()

    def run(self) -> None:
        try:
            self.result = self.work()
        except Exception as err:
            self.error = err

    def end(self) -> None:
        self.join(PATIENCE_S)
        assert not self.is_alive(), "it never ended"


def step_count(client: Client) -> int:
    return request_json(client._address, "GET", "/state", session_id=client.session_id)["step_count"]


def test_an_episode(client: Client) -> None:
    begun = client.reset(**TASK, seed=1)
    assert "strategy.py" in begun.observation and begun.info.step == 0 and not begun.done and begun.reward == 0
    listed = client.step("ls")
    assert "strategy.py" in listed.observation and listed.info.step == 1 and listed.info.exit_code == 0
    assert client.step("(exit 3)").info.exit_code == 3
    client.step(BETTER)
    graded = client.step("validate")
    (evaluation,) = graded.info.evaluations
    assert evaluation.kind == "validate" and evaluation.scores is not None and evaluation.scores["Score"] > 1.3
    assert graded.reward > 0 and not graded.done
    state = client.state()
    assert (state.task, state.variant, state.seed) == ("battleOfSexes", "small", 1)
    assert state.reward_range[0] <= graded.reward <= state.reward_range[1]
    ended = client.step("submit")
    assert ended.terminated and not ended.truncated and ended.info.exit_status == "submitted" and not ended.info.mask
    with pytest.raises(ServerError, match="over"):
        client.step("ls")
    assert client.reset(**TASK, seed=1).observation == begun.observation


def test_tools(client: Client) -> None:
    client.reset(**TASK)
    names = {tool["name"] for tool in client.tools()}
    assert {"bash", "open", "edit", "validate", "submit"} <= names
    opened = client.call("open", path="strategy.py")
    assert opened.info.open_file.endswith("strategy.py") and opened.info.tool_name == "open" and not opened.info.error
    assert client.call("no_such_tool").info.error["error_type"] == "tool_not_found"


def test_max_steps(client: Client) -> None:
    client.reset(**TASK, max_steps=2)
    assert client.step("true").info.steps_left == 1
    cut = client.step("true")
    assert cut.truncated and not cut.terminated and cut.info.exit_status == "autosubmission (max_steps)"


def test_long_command(impatient: Client) -> None:
    impatient.reset(**TASK)
    done = impatient.step("sleep 1; echo over")
    assert done.observation == "over\n" and done.info.step == 1 and not done.info.running
    assert step_count(impatient) > 1, "the server was never impatient"


def test_step_timeout(impatient: Client) -> None:
    impatient.reset(**TASK)
    with pytest.raises(StepTimeout):
        impatient.step("echo begun; sleep 600", timeout=0.1)
    assert impatient.running
    with pytest.raises(StillRunning):
        impatient.step("ls")
    with pytest.raises(StepTimeout):
        impatient.wait(timeout=0.5)
    stopped = impatient.interrupt()
    assert "begun" in stopped.observation and stopped.info.step == 1 and not impatient.running
    assert impatient.step("echo on").observation == "on\n"
    with pytest.raises(StepTimeout):
        impatient.step("sleep 1; echo over", timeout=0)
    assert impatient.wait().observation == "over\n"
    with pytest.raises(StillRunning):
        impatient.wait()


def test_reset_while_a_command_runs(impatient: Client) -> None:
    impatient.reset(**TASK)
    with pytest.raises(StepTimeout):
        impatient.step("sleep 600", timeout=0)
    impatient.reset(**TASK)
    assert impatient.step("echo fresh").observation == "fresh\n"


def test_dropped_between_steps(client: Client) -> None:
    client.reset(**TASK)
    client.step("kept=here")
    session = client.session_id
    drop(client)
    assert client.step("echo $kept").observation == "here\n"
    assert client.session_id == session and client.state().step_count == 2
    client.close()
    # It is taken over, and ends with close() all the same.
    with pytest.raises(ServerError, match="404"):
        request_json(client._address, "GET", "/state", session_id=session)


def test_dropped_in_a_step(impatient: Client) -> None:
    impatient.reset(**TASK)
    running = Beside(lambda: impatient.step("echo one >> log; sleep 2; cat log"))
    for times in range(2):
        eventually(lambda times=times: step_count(impatient) > 2 * times)
        drop(impatient)
    running.end()
    assert running.error is None
    assert running.result.observation == "one\n" and running.result.info.step == 1


def test_reply_lost(client: Client) -> None:
    client.reset(**TASK)
    with pytest.raises(StepTimeout):
        client.step("echo one >> log; cat log", timeout=0)
    eventually(lambda: step_count(client) == 1)
    client._connection.recv()  # as if it had been lost on its way
    drop(client)
    reply = client.wait()
    assert reply.observation == "one\n" and reply.info.step == 1
    assert client.step("cat log").observation == "one\n"


def test_session_lost(client: Client) -> None:
    client.reset(**TASK)
    request_json(client._address, "POST", "/close", session_id=client.session_id)
    with pytest.raises(SessionLost):
        client.step("ls")
    client.reset(**TASK)
    assert client.step("echo again").observation == "again\n"


def test_snapshot_and_fork(client: Client) -> None:
    client.reset(**TASK, seed=7)
    client.step("mkdir -p sub && cd sub && kept=here && echo data > file")
    saved = client.snapshot()
    assert saved.step == 1 and saved.bytes > 0
    actions = ["pwd; echo $kept; cat file", "cd .. && " + BETTER, "validate"]
    children = client.fork(3)
    try:
        seen = [[(r.observation, r.reward, r.info.step) for r in map(one.step, actions)] for one in [client, *children]]
        assert seen[0][0][0].endswith("/sub\nhere\ndata\n")
        assert seen[1:] == [seen[0]] * 3
        assert {one.state().seed for one in children} == {7}
        assert len({one.session_id for one in [client, *children]}) == 4
    finally:
        for child in children:
            child.close()
    client.reset(snapshot=saved)
    assert client.step(actions[0]).observation == seen[0][0][0]
    client.delete_snapshot(saved)
    with pytest.raises(ServerError):
        client.reset(snapshot=saved)


def test_close_while_stepping(client: Client) -> None:
    client.reset(**TASK)
    running = Beside(lambda: client.step("sleep 600"))
    eventually(lambda: request_json(client._address, "GET", "/state", session_id=client.session_id)["running"])
    closing = Beside(client.close)
    closing.end()
    running.end()
    assert closing.error is None and isinstance(running.error, ClientClosed)
    client.close()
    with pytest.raises(ClientClosed):
        client.step("ls")


def test_two_threads(client: Client) -> None:
    client.reset(**TASK)
    running = Beside(lambda: client.step("sleep 600"))
    eventually(lambda: request_json(client._address, "GET", "/state", session_id=client.session_id)["running"])
    with pytest.raises(StillRunning, match="thread"):
        client.step("ls")
    client.close()
    running.end()


def test_capacity() -> None:
    with LocalServer(["--max-sessions", "1"]) as server, Client(server.url, server.token) as first:
        first.reset(**TASK)
        with Client(server.url, server.token) as second:
            with pytest.raises(CapacityReached) as refused:
                second.reset(**TASK)
            assert (refused.value.active_sessions, refused.value.max_sessions) == (1, 1)
            first.close()
            second.reset(**TASK)


def test_server_killed() -> None:
    with LocalServer() as server:
        client = Client(server=server, reconnect_s=600)
        client.reset(**TASK)
        running = Beside(lambda: client.step("sleep 600"))
        eventually(lambda: request_json(client._address, "GET", "/state", session_id=client.session_id)["running"])
        os.kill(server.pid, signal.SIGKILL)
        running.end()
        assert isinstance(running.error, ConnectionLost) and "exit code -9" in str(running.error)
        Beside(client.close).end()
        with pytest.raises(ClientClosed):
            client.reset(**TASK)


def test_server_frozen() -> None:
    with LocalServer() as server:
        client = Client(server.url, server.token)
        client.reset(**TASK)
        os.kill(server.pid, signal.SIGSTOP)
        try:
            closing = Beside(client.close)
            closing.end()
            assert closing.error is None
        finally:
            os.kill(server.pid, signal.SIGCONT)


def test_wrong_requests(client: Client) -> None:
    with pytest.raises(ServerError, match="battleOfSexes") as refused:
        client.reset(task="battleOfSexs")
    assert refused.value.code == "VALIDATION_ERROR"
    client.reset(**TASK)
    with Client(client.url, "wrong") as other, pytest.raises(ServerError, match="token"):
        other.reset(**TASK)
    with Client("http://127.0.0.1:1", reconnect_s=0.1) as other, pytest.raises(ConnectionLost, match=r"127\.0\.0\.1:1"):
        other.reset(**TASK)
    with pytest.raises(ValueError, match="url"):
        Client("127.0.0.1:8000")
    assert client.step("echo on").observation == "on\n"


class NotFound(http.server.BaseHTTPRequestHandler):
    """Some other server, which has no such page."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        pass


def test_not_a_server() -> None:
    with socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler) as silent:  # it hangs up at once
        threading.Thread(target=silent.serve_forever, daemon=True).start()
        client = Client(f"http://127.0.0.1:{silent.server_address[1]}", reconnect_s=0.2)
        with pytest.raises(ConnectionLost, match="cannot be reached"):
            client.reset(**TASK)
        silent.shutdown()
    with http.server.HTTPServer(("127.0.0.1", 0), NotFound) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        client = Client(f"http://127.0.0.1:{other.server_address[1]}", reconnect_s=600)
        with pytest.raises(ConnectionLost, match="does not speak"):
            client.reset(**TASK)
        other.shutdown()


def test_no_binary(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("MLGYM_LOCAL_SERVER", raising=False)
    monkeypatch.setenv("MLGYM_BINARY", str(tmp_path / "absent"))
    with pytest.raises(ServerNotStarted, match="MLGYM_BINARY"):
        LocalServer()
    broken = tmp_path / "mlgym"
    broken.write_text("#!/bin/sh\necho no room left >&2\nexit 4\n")
    broken.chmod(broken.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("MLGYM_BINARY", str(broken))
    with pytest.raises(ServerNotStarted, match=r"(?s)exit code 4.*no room left"):
        LocalServer()
    broken.write_text("#!/bin/sh\necho hello\n")
    with pytest.raises(ServerNotStarted, match="hello"):
        LocalServer()
    monkeypatch.delenv("MLGYM_BINARY")
    monkeypatch.setattr(server_module, "__file__", str(tmp_path / "a" / "b" / "server.py"))  # not in the repository
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(ServerNotStarted, match="go build"):
        find_binary()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_server_ends_with_its_process() -> None:
    script = (
        "import os, sys, time, mlgym\n"
        "client = mlgym.Client()\n"
        "client.reset(task='battleOfSexes', variant='small')\n"
        "child = os.fork()\n"  # which must not keep the server alive
        "if child == 0: time.sleep(600)\n"
        "print(client._address.local.pid, child, flush=True)\n"
        "time.sleep(600 if sys.argv[1] == 'wait' else 0)\n"
    )
    environment = {key: value for key, value in os.environ.items() if key != "MLGYM_LOCAL_SERVER"}
    for how in ("end", "wait"):
        with subprocess.Popen(
            [sys.executable, "-c", script, how], stdout=subprocess.PIPE, text=True, env=environment
        ) as parent:
            assert parent.stdout is not None
            server, child = map(int, parent.stdout.readline().split())
            if how == "wait":
                parent.kill()
            parent.wait(PATIENCE_S)
            try:
                eventually(lambda pid=server: not alive(pid))
            finally:
                os.kill(child, signal.SIGKILL)


def test_fork_of_the_process(client: Client) -> None:
    client.reset(**TASK)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            client.step("ls")
        except ClientClosed:
            client.close()
            with Client() as own:
                own.reset(**TASK)
                os.write(writing, b"refused, and one of its own on " + own.url.encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as said:
        assert said.read().decode() == f"refused, and one of its own on {client.url}"
    os.waitpid(child, 0)
    assert client.step("echo on").observation == "on\n"


def test_no_session_is_left_at_the_end(address) -> None:
    script = (
        "import mlgym\n"
        "client = mlgym.Client()\n"
        "client.reset(task='battleOfSexes', variant='small')\n"
        "print(client.session_id)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=PATIENCE_S, check=True
    )
    session = done.stdout.strip()
    assert session

    def gone() -> bool:
        try:
            request_json(address, "GET", "/state", session_id=session)
        except ServerError as err:
            return "404" in err.message
        return False

    began = time.monotonic()
    eventually(gone)
    assert time.monotonic() - began < 30, "it was left to the grace period"


def test_wheel() -> None:
    files = {str(path) for path in metadata.files("mlgym") or ()}
    assert "mlgym/py.typed" in files and "mlgym/gym.py" in files
    assert not [path for path in files if not path.startswith(("mlgym/", "mlgym-"))]
