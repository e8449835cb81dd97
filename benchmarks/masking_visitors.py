"""Many visitors opening Masking at once, each with a new picture: how long the server lets each of them wait.

    python -m benchmarks.masking_visitors [--visitors 16] [--model vit_p4]

Visitors without a browser: they speak Streamlit's protocol, so that the machine's cores are the server's, as where a
class has laptops of its own; `benchmarks.masking --browsers` has the browsers on the same cores. Seconds from a
visitor's connection to the first element that comes (`sign`), the photo with its slider (`picture`), the first answer
of the model (`answer`), the answers to all steps (`curve`) and the end of the page with everything in the background
(`whole`); and the processor seconds of the server for all of them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from typing import Any

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import connect
from websockets.typing import Origin, Subprotocol

from benchmarks.report import machine, parse, write
from benchmarks.serving import processor_seconds, start_server

STAGES = ("sign", "picture", "answer", "curve", "whole")
MOST_S = 600


def stages_of(message: Any) -> tuple[str, ...]:
    """What a visitor has with this message of the server."""
    if message.WhichOneof("type") == "script_finished":
        return ("whole",)
    if message.WhichOneof("type") != "delta" or message.delta.new_element.WhichOneof("type") is None:
        return ()
    component = message.delta.new_element.bidi_component
    if component.component_name == "vitrine_masking_steps":
        return ("sign", "picture")
    if component.component_name != "vitrine_feed":
        return ("sign",)
    headlines = json.loads(component.json).get("told", {}).get("headlines", [None])
    return ("sign", *(("answer",) if any(headlines) else ()), *(("curve",) if all(headlines) else ()))


async def visit(address: str, query: str) -> dict[str, float]:
    """Seconds until each stage."""
    began, seen = time.monotonic(), dict[str, float]()
    place = address.replace("http", "ws", 1) + "/_stcore/stream"
    talk = connect(place, subprotocols=[Subprotocol("streamlit")], max_size=None, origin=Origin(address))
    async with asyncio.timeout(MOST_S), talk as line:
        asked = BackMsg()
        asked.rerun_script.query_string, asked.rerun_script.page_name = query, "masking"
        await line.send(asked.SerializeToString())
        async for received in line:
            message = ForwardMsg()
            message.ParseFromString(received)
            for stage in stages_of(message):
                seen.setdefault(stage, time.monotonic() - began)
            if "whole" in seen:
                return seen
    raise RuntimeError(f"The server ended the visit after {sorted(seen)}.")


async def all_at_once(address: str, queries: list[str]) -> list[dict[str, float]]:
    """A visit for each query, begun together."""
    return await asyncio.gather(*(visit(address, query) for query in queries))


def main(words: list[str] | None = None) -> None:
    """Measure and write `results/masking_visitors.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--visitors", type=int, default=16)
    parser.add_argument("--model", default="vit_p4")
    arguments = parse(parser, words, visitors=2, model="cnn_small")
    where, count = machine(), arguments.visitors
    # Another part of an oblong photo is a picture that nobody has asked about.
    places = [f"example:coffee;crop={(number + 1) / (count + 2):.3f}" for number in range(count)]
    server, address = start_server()
    try:
        asyncio.run(all_at_once(address, [f"model={arguments.model}&image=example:cat"]))  # it has the model now
        computed = processor_seconds(server)
        found = asyncio.run(all_at_once(address, [f"model={arguments.model}&image={place}" for place in places]))
        computed = processor_seconds(server) - computed
    finally:
        server.terminate()
        server.wait(20)
    seconds = {
        stage: {
            "median": round(statistics.median(each[stage] for each in found), 2),
            "last": round(max(each[stage] for each in found), 2),
        }
        for stage in STAGES
    }
    result = {"model": arguments.model, "visitors": count, "seconds": seconds, "server_processor_s": round(computed, 2)}
    write("masking_visitors", {**result, "machine": where}, quick=arguments.quick)


if __name__ == "__main__":
    main()
