// Calls a provider through OpenAI's SDK under OpenTelemetry's instrumentation, within spans of a request.
//
// usage: node sender.js BASE_URL_OF_THE_PROVIDER OTLP_HTTP_URL CALLS
// Its standard output is the name of each span that ended.
"use strict";

const { trace, SpanKind } = require("@opentelemetry/api");
const { OTLPTraceExporter } = require("@opentelemetry/exporter-trace-otlp-proto");
const { registerInstrumentations } = require("@opentelemetry/instrumentation");
const { OpenAIInstrumentation } = require("@opentelemetry/instrumentation-openai");
const { resourceFromAttributes } = require("@opentelemetry/resources");
const { BatchSpanProcessor, NodeTracerProvider } = require("@opentelemetry/sdk-trace-node");

const [providerUrl, otlpUrl, calls] = process.argv.slice(2);

// What ended is what has to arrive.
class Told {
  onStart() {}
  onEnd(span) {
    process.stdout.write(span.name + "\n");
  }
  async forceFlush() {}
  async shutdown() {}
}

const provider = new NodeTracerProvider({
  resource: resourceFromAttributes({ "service.name": "javascript", "process.command_args": ["node", "sender.js"] }),
  spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter({ url: otlpUrl })), new Told()],
});
provider.register();
registerInstrumentations({ tracerProvider: provider, instrumentations: [new OpenAIInstrumentation()] });

// Required only now: the instrumentation wraps what is loaded after it.
const OpenAI = require("openai");
const client = new OpenAI({ apiKey: "unused", baseURL: providerUrl, maxRetries: 0 });
const tracer = trace.getTracer("shop", "1.0");

async function main() {
  for (let number = 0; number < Number(calls); number += 1) {
    await tracer.startActiveSpan("POST /ask", { kind: SpanKind.SERVER }, async (span) => {
      span.setAttribute("http.route", "/ask");
      await client.chat.completions.create({ model: "gpt-4o", messages: [{ role: "user", content: `${number}` }] });
      const stream = await client.chat.completions.create({
        model: "gpt-4o",
        messages: [{ role: "user", content: `${number}` }],
        stream: true,
        stream_options: { include_usage: true },
      });
      for await (const _ of stream);
      await client.embeddings.create({ model: "text-embedding-3-small", input: "words", encoding_format: "float" });
      span.end();
    });
  }
  await provider.shutdown();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
