"""Vercel's AI SDK: runs drive_vercel.mjs in the folder that is named, where one version of it is installed."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from provider import PROMPT, Provider
from recording import write
from wire_server import serving

WHO = {"user": "user-42", "session": "conversation-7", "workflow": "find-parcel"}
LINE = r"ai\.(generateText\.doGenerate|streamText\.doStream|embed\.doEmbed)"

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
            write(emitter, package, told["scenario"], LINE, told["spans"], server.sales, server.server_port, who=WHO)
            server.sales.clear()
            server.seed = f"{emitter} {told['scenario']}"
            node.stdin.write("next\n")
            node.stdin.flush()
