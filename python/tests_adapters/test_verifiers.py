"""Verifiers' own evaluation, with its taskset "openenv", against mlgym serve.

The example's configuration runs as it is, but for the addresses. The model is a
server with a list of answers; all between it and the episode is verifiers'.
"""

import json
import sys
import threading
import tomllib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import tomli_w
from conftest import BEST
from verifiers.v1.cli.eval import main as evaluation
from verifiers.v1.runtimes.base import Runtime

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "verifiers.toml"
ANSWERS = [json.dumps({"command": "ls"}), BEST, "submit"]


class Model(BaseHTTPRequestHandler):
    """Answers by how many answers the conversation has."""

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append(request["messages"])
        said = sum(message["role"] == "assistant" for message in request["messages"])
        text = self.server.answers[said]
        answer = {"id": "chatcmpl-1", "created": 0, "model": request["model"]}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        if request.get("stream"):
            answer["object"] = "chat.completion.chunk"
            choices = [
                {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": None},
                {"index": 0, "delta": {}, "finish_reason": "stop"},
            ]
            events = [{**answer, "choices": [choice]} for choice in choices]
            events.append({**answer, "choices": [], "usage": usage})
            body = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
            kind = "text/event-stream"
        else:
            message = {"role": "assistant", "content": text}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            body = json.dumps({**answer, "object": "chat.completion", "choices": [choice], "usage": usage})
            kind = "application/json"
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def model():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    server.answers, server.seen = ANSWERS, []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def harness_runs_here(monkeypatch):
    """The harness's program in our environment, which has what it asks for.

    Verifiers would have uv fetch whatever versions are the newest today.
    """

    async def prepare(runtime, script, env=None, *, activate=True):
        data = script.encode() if isinstance(script, str) else script
        await runtime.write("program.py", data)
        return [sys.executable, str(runtime.workdir / "program.py")]

    monkeypatch.setattr(Runtime, "prepare_uv_script", prepare)


def test_the_example(server, model, tmp_path, monkeypatch):
    config = tomllib.loads(EXAMPLE.read_text())
    config["env"]["taskset"]["base_url"] = server
    config["client"]["base_url"] = f"http://127.0.0.1:{model.server_port}/v1"
    del config["env"]["taskset"]["resets"][1:]
    path = tmp_path / "verifiers.toml"
    path.write_text(tomli_w.dumps(config))
    monkeypatch.setenv("MODEL_API_KEY", "none")
    monkeypatch.setenv("HOME", str(tmp_path))
    evaluation.main(["@", str(path), "--no-rich", "--output-dir", str(tmp_path / "out")])

    (traces,) = (tmp_path / "out").rglob("traces.jsonl")
    episodes = [json.loads(line) for line in traces.read_text().splitlines()]
    assert len(episodes) == config["num_rollouts"]
    rewards = []
    for episode in episodes:
        assert not episode.get("errors"), episode["errors"]
        (trace,) = episode["traces"]
        assert not trace.get("errors"), trace["errors"]
        rewards.append(trace["rewards"]["openenv_reward"])
    first = json.loads(model.seen[0][-1]["content"])
    assert first["action_schema"]["required"] == ["command"]
    assert "strategy.py" in first["observation"]["text"]
    scores = [reward["score"] for reward in rewards]
    assert scores[0] == scores[1] > 0  # one state, one seed
