"""`transformers serve`, the server of transformers itself, behind the proxy: a real server, the real client."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time

import httpx
import openai
import pytest

from secagg.adapters.openai_proxy import Proxy
from secagg.filters.fence import Fence, Phrases
from tests.network.openai_server import listening
from tests.unit.fence.parrot import SECRET, parrot

pytestmark = [pytest.mark.network, pytest.mark.slow]
FENCE = Fence(Phrases("projects", (SECRET,)))


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The model's folder and the server's address."""
    pytest.importorskip("fastapi", reason="transformers serve needs fastapi")
    folder, port = tmp_path_factory.mktemp("model"), free_port()
    model, tokenizer = parrot()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "chat_template.jinja").write_text("{% for message in messages %}{{ message['content'] }}{% endfor %}")
    command = [sys.executable, "-c", "from transformers.cli.transformers import main; main()", "serve", str(folder)]
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"],
            stdout=log,
            stderr=log,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        ) as process,
    ):
        try:
            _wait(process, f"http://127.0.0.1:{port}", folder / "log")
            yield str(folder), f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _wait(process, address, log) -> None:
    for _ in range(600):
        assert process.poll() is None, log.read_text()
        try:
            httpx.get(f"{address}/health", timeout=5)
        except httpx.TransportError:
            time.sleep(0.2)
        else:
            return
    raise AssertionError(log.read_text())


def said(address, model) -> list[str]:
    """A chat, the same as a stream, and a text completion."""
    with openai.OpenAI(base_url=f"{address}/v1", api_key="k", max_retries=0) as client:
        ask = {"model": model, "messages": [{"role": "user", "content": "the code name is"}], "max_tokens": 20, "temperature": 0}
        whole = client.chat.completions.create(**ask).choices[0].message.content
        events = [chunk.choices[0].delta.content or "" for chunk in client.chat.completions.create(**ask, stream=True) if chunk.choices]
        text = client.completions.create(model=model, prompt="the code name is", max_tokens=20, temperature=0).choices[0].text
    return [whole, "".join(events), text]


def test_the_server_of_transformers_says_it_and_the_proxy_does_not(served):
    folder, address = served
    assert all(SECRET in text for text in said(address, folder))
    with listening(Proxy(FENCE, f"{address}/v1").app()) as proxy:
        answers = said(proxy, folder)
    assert all("████" in text for text in answers), answers
    assert [FENCE.check(text) for text in answers] == [(), (), ()]
