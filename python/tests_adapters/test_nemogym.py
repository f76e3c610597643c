"""NeMo Gym's gymnasium agent, as it speaks: its frames, its cookies, its order.

Its package needs a newer Python than ours, so the frames are made here: the
answers of the model are the OpenAI client's own models, which NeMo Gym's extend.
"""

import uuid
from typing import Any

import httpx
from conftest import BEST, TASK
from openai.types.responses import Response, ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText


def answer(*output) -> dict[str, Any]:
    made = Response(
        id=f"resp_{uuid.uuid4().hex}",
        created_at=0.0,
        model="scripted",
        object="response",
        output=list(output),
        parallel_tool_calls=True,
        tool_choice="auto",
        tools=[],
    )
    return made.model_dump()


def text(words: str) -> ResponseOutputMessage:
    part = ResponseOutputText(annotations=[], text=words, type="output_text")
    return ResponseOutputMessage(id="msg_1", content=[part], role="assistant", status="completed", type="message")


def call(name: str, arguments: str, call_id: str) -> ResponseFunctionToolCall:
    return ResponseFunctionToolCall(name=name, arguments=arguments, call_id=call_id, type="function_call")


def check(result: dict[str, Any]) -> dict[str, Any]:
    """The types of an EnvStepResponse."""
    assert result["observation"] is None or isinstance(result["observation"], str)
    assert isinstance(result["reward"], int | float)
    assert isinstance(result["terminated"], bool) and isinstance(result["truncated"], bool)
    assert isinstance(result["info"], dict)
    return result


def test_an_episode(server):
    row = {"responses_create_params": {"input": [{"role": "user", "content": "Begin."}]}, "task": TASK, "seed": 4}
    cookies: dict[str, str] = {}

    def post(http: httpx.Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
        reply = http.post(path, json=body, headers={"Cookie": "; ".join(f"{k}={v}" for k, v in cookies.items())})
        assert reply.status_code == 200, reply.text
        cookies.update(reply.cookies)
        return reply.json()

    with httpx.Client(base_url=server, timeout=60) as http:
        begun = post(http, "/reset", row)
        assert "strategy.py" in begun["observation"]
        assert begun["info"]["supports_explicit_close"] is True
        assert cookies

        def step(*output) -> dict[str, Any]:
            body = {**row, "response": answer(*output)}
            if begun["info"].get("supports_step_idempotency") is True:
                body["_ng_step_request_id"] = uuid.uuid4().hex
            first = check(post(http, "/step", body))
            if "_ng_step_request_id" in body:  # what a lost answer makes of it
                assert post(http, "/step", body) == first
            return first

        done = step(call("bash", '{"command": "echo once >> log; cat log"}', "call_1"))
        assert [o["call_id"] for o in done["info"]["tool_outputs"]] == ["call_1"]
        output = done["info"]["tool_outputs"][0]["output"]
        assert isinstance(output, str) and output.count("once") == 1
        assert not done["terminated"] and not done["truncated"]

        done = step(call("bash", '{"command": "echo a"}', "call_2"), call("fly", "{}", "call_3"))
        assert [o["call_id"] for o in done["info"]["tool_outputs"]] == ["call_2", "call_3"]

        done = step(text(f"Now the best play.\n\n```\n{BEST}\n```"))
        assert not done["terminated"]
        done = step(call("submit", "{}", "call_4"))
        assert done["terminated"] and not done["truncated"] and done["reward"] > 0
        post(http, "/close", {})
