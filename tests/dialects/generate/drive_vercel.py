"""Vercel's AI SDK: runs drive_vercel.mjs in the folder that is named, where one version of it is installed."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

from provider import PROMPT, Provider
from recording import Raw, write
from wire_server import serving

WHO = {"user": "user-42", "session": "conversation-7", "workflow": "find-parcel"}
INNER = re.compile(r"ai\.(generateText\.doGenerate|streamText\.doStream|embed\.doEmbed)")


def is_line(span: Raw) -> bool:
    """Since 7, by the conventions: an embedding has two spans of one name, and the inner one knows the usage."""
    operation = span["attributes"].get("gen_ai.operation.name", "")
    standard = operation in {"chat", "embeddings"} and "gen_ai.usage.input_tokens" in span["attributes"]
    return standard or INNER.fullmatch(span["name"]) is not None


folder = Path(sys.argv[1]).resolve()
script = folder / "drive_vercel.mjs"
shutil.copy(Path(__file__).with_suffix(".mjs"), script)
server = Provider()
with serving(server):
    command = ["node", str(script), server.origin, PROMPT]
    server.seed = "vercel"
    with subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as node:
        for text in node.stdout:
            told = json.loads(text)
            major = told["version"].split(".")[0]
            emitter = f"vercel-ai-{major}"
            package = f"ai=={told['version']}"
            who = {} if major == "7" else WHO  # 7 tells no metadata
            lost = ("reasoning",) if (major, told["scenario"]) == ("4", "gemini") else ()
            seen = (told["spans"], server.sales, server.server_port)
            write(emitter, package, told["scenario"], is_line, *seen, who=who, lost=lost)
            server.sales.clear()
            server.seed = f"{emitter} {told['scenario']}"
            node.stdin.write("next\n")
            node.stdin.flush()
