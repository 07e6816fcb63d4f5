// Vercel's AI SDK, the version that lies in the folder: prints one JSON line per scenario, for drive_vercel.py.
import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import * as resources from "@opentelemetry/resources";
import { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-node";
import * as ai from "ai";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

const [origin, prompt] = process.argv.slice(2);
const version = JSON.parse(readFileSync("node_modules/ai/package.json", "utf8")).version;
const exporter = new InMemorySpanExporter();
const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
provider.register();
const openai = createOpenAI({ compatibility: "strict", baseURL: `${origin}/v1`, apiKey: "none" });
const anthropic = createAnthropic({ baseURL: `${origin}/v1`, apiKey: "none" });
if (version.startsWith("7.")) {
  const { OpenTelemetry } = await import("@ai-sdk/otel");
  ai.registerTelemetry(new OpenTelemetry());
}
const google = createGoogleGenerativeAI({ baseURL: `${origin}/v1beta`, apiKey: "none" });
const telemetry = {
  isEnabled: true,
  recordInputs: false,
  recordOutputs: false,
  functionId: "find-parcel",
  metadata: { userId: "user-42", sessionId: "conversation-7" },
};

function nanoseconds([seconds, rest]) {
  return seconds * 1e9 + rest; // to the microsecond or so, which is enough
}

function told(span) {
  const { traceId, spanId } = span.spanContext();
  return {
    scope: (span.instrumentationScope ?? span.instrumentationLibrary).name,
    name: span.name,
    kind: ["INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"][span.kind],
    trace_id: traceId,
    span_id: spanId,
    parent_id: span.parentSpanContext?.spanId ?? span.parentSpanId ?? "",
    start_ns: nanoseconds(span.startTime),
    end_ns: nanoseconds(span.endTime),
    failed: span.status.code === 2,
    attributes: span.attributes,
  };
}

async function scenario(name, run) {
  exporter.reset();
  await run();
  await provider.forceFlush();
  console.log(JSON.stringify({ version, scenario: name, spans: exporter.getFinishedSpans().map(told) }));
  await lines.next(); // until it is written down
}

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

const asked = { prompt, telemetry, experimental_telemetry: telemetry };
await scenario("openai", () => ai.generateText({ model: openai.chat("gpt-5-mini"), ...asked }));
await scenario("responses", () => ai.generateText({ model: openai.responses("gpt-5-mini"), ...asked }));
await scenario("stream", async () => {
  const result = ai.streamText({ model: openai.chat("gpt-5-mini"), ...asked });
  for await (const _ of result.textStream);
});
await scenario("anthropic", () =>
  ai.generateText({ model: anthropic("claude-sonnet-4-5-20250929"), ...asked }),
);
await scenario("embeddings", () =>
  ai.embed({ model: openai.embedding("text-embedding-3-small"), value: prompt, telemetry, experimental_telemetry: telemetry }),
);
await scenario("gemini", () => ai.generateText({ model: google("gemini-2.5-flash"), ...asked }));
if (!version.startsWith("4.")) {
  await scenario("gemini-stream", async () => {
    const result = ai.streamText({ model: google("gemini-2.5-flash"), ...asked });
    for await (const _ of result.textStream);
  });
}
process.exit(0);
