"""URL → seller, wire format, and what the path says of the model."""

import pytest

from otel_llmcost.providers.endpoints import Endpoints
from otel_llmcost.providers.formats import model_of_form

BEDROCK = "bedrock-runtime.us-east-1.amazonaws.com"
GEMINI = "generativelanguage.googleapis.com"
VERTEX = "us-east5-aiplatform.googleapis.com"
PUBLISHERS = "/v1/projects/p/locations/l/publishers"

INFERENCE = [
    ("api.openai.com", "/v1/chat/completions", "openai", "chat_completions", "", False),
    ("api.openai.com", "/v1/responses", "openai", "responses", "", False),
    ("api.openai.com", "/v1/responses/compact", "openai", "responses", "", False),
    ("api.openai.com", "/v1/completions", "openai", "completions", "", False),
    ("api.openai.com", "/v1/images/edits", "openai", "images", "", False),
    ("api.openai.com", "/v1/audio/translations", "openai", "transcriptions", "", False),
    ("api.openai.com", "/v1/threads/runs", "openai", "runs", "", False),
    ("api.openai.com", "/v1/threads/thread_1/runs/run_1/submit_tool_outputs", "openai", "runs", "", False),
    ("x.openai.azure.com", "/openai/deployments/d-1/chat/completions", "azure.ai.openai", "chat_completions", "d-1"),
    ("x.openai.azure.com", "/openai/deployments/d-1/embeddings", "azure.ai.openai", "embeddings", "d-1"),
    ("x.services.ai.azure.com", "/models/chat/completions", "azure.ai.inference", "chat_completions", ""),
    ("x.services.ai.azure.com", "/anthropic/v1/messages", "azure.ai.inference", "messages", ""),
    ("api.anthropic.com", "/v1/messages", "anthropic", "messages", ""),
    ("api.anthropic.com", "/v1/complete", "anthropic", "text_completions", ""),
    (VERTEX, f"{PUBLISHERS}/anthropic/models/claude-1@2:rawPredict", "gcp.vertex_ai", "messages", "claude-1@2"),
    (VERTEX, f"{PUBLISHERS}/anthropic/models/c:streamRawPredict", "gcp.vertex_ai", "messages", "c", True),
    (VERTEX, f"{PUBLISHERS}/mistralai/models/m:rawPredict", "gcp.vertex_ai", "chat_completions", "m"),
    (VERTEX, f"{PUBLISHERS}/google/models/g:streamGenerateContent", "gcp.vertex_ai", "generate_content", "g", True),
    (
        VERTEX,
        f"{PUBLISHERS}/google/models/text-embedding-004:predict",
        "gcp.vertex_ai",
        "gemini_embeddings",
        "text-embedding-004",
    ),
    (GEMINI, "/v1beta/models/gemini-3-pro:generateContent", "gcp.gemini", "generate_content", "gemini-3-pro"),
    (GEMINI, "/v1beta/models/e:batchEmbedContents", "gcp.gemini", "gemini_embeddings", "e"),
    (GEMINI, "/v1beta/openai/chat/completions", "gcp.gemini", "chat_completions", ""),
    (GEMINI, "/v1beta/interactions", "gcp.gemini", "interactions", ""),
    (BEDROCK, "/model/a.b-v1:0/converse", "aws.bedrock", "converse", "a.b-v1:0"),
    (BEDROCK, "/model/a.b-v1%3A0/converse-stream", "aws.bedrock", "converse", "a.b-v1:0", True),
    (BEDROCK, "/model/arn:aws:bedrock:r:1:x/y/invoke", "aws.bedrock", "invoke_model", "arn:aws:bedrock:r:1:x/y"),
    (BEDROCK, "/model/m/invoke-with-response-stream", "aws.bedrock", "invoke_model", "m", True),
    ("bedrock-mantle.us-east-1.api.aws", "/openai/v1/responses", "aws.bedrock", "responses", ""),
    ("api.cohere.com", "/v1/chat", "cohere", "cohere_chat", ""),
    ("api.cohere.com", "/v2/chat", "cohere", "cohere_chat", ""),
    ("api.cohere.com", "/v2/embed", "cohere", "cohere_embed", ""),
    ("api.cohere.com", "/v2/rerank", "cohere", "rerank", ""),
    ("api.writer.com", "/v1/chat", "writer", "chat_completions", ""),
    ("api.voyageai.com", "/v1/rerank", "voyageai", "rerank", ""),
    ("api.voyageai.com", "/v1/multimodalembeddings", "voyageai", "embeddings", ""),
    ("api.mistral.ai", "/v1/ocr", "mistral_ai", "ocr", ""),
    ("api.mistral.ai", "/v1/conversations", "mistral_ai", "conversations", ""),
    ("api.mistral.ai", "/v1/conversations/conv_1/restart", "mistral_ai", "conversations", ""),
    ("api.mistral.ai", "/v1/fim/completions", "mistral_ai", "completions", ""),
    ("router.huggingface.co", "/together/v1/chat/completions", "huggingface_together", "chat_completions", ""),
    ("router.huggingface.co", "/v1/chat/completions", "huggingface", "chat_completions", ""),
    ("x.us-east-1.aws.endpoints.huggingface.cloud", "/", "huggingface", "tgi", ""),
    ("api.portkey.ai", "/v1/prompts/pp-1/completions", "portkey", "chat_completions", ""),
    ("us-south.ml.cloud.ibm.com", "/ml/v1/text/generation_stream", "ibm.watsonx.ai", "watsonx", "", True),
    ("us-south.ml.cloud.ibm.com", "/ml/v1/text/chat", "ibm.watsonx.ai", "chat_completions", ""),
    ("api.replicate.com", "/v1/models/meta/llama-3/predictions", "replicate", "replicate", "meta/llama-3"),
    ("api.aleph-alpha.com", "/complete", "aleph_alpha", "aleph_alpha", ""),
    ("10.0.0.5", "/api/chat", "10.0.0.5", "ollama_chat", ""),
    ("10.0.0.5", "/api/embeddings", "10.0.0.5", "ollama_embed", ""),
    ("10.0.0.5", "/v1/chat/completions", "10.0.0.5", "chat_completions", ""),
]


@pytest.mark.parametrize("row", INFERENCE, ids=lambda row: row[0] + row[1])
def test_an_inference_endpoint_is_found_with_its_seller(row: tuple) -> None:
    """Prices belong to the seller, found from the URL; the path may name the model and ask for a stream."""
    host, path, provider, name, model, *stream = row
    found = Endpoints({}).find(host, None, path)
    assert found is not None
    assert (provider, name, model, bool(stream and stream[0])) == (
        found.provider,
        found.wire_format.name,
        found.model,
        found.streaming,
    )


@pytest.mark.parametrize(
    ("method", "host", "path"),
    [
        ("POST", "api.anthropic.com", "/v1/messages/count_tokens"),
        ("POST", "api.anthropic.com", "/v1/messages/batches"),
        ("POST", "api.openai.com", "/v1/responses/input_tokens"),
        ("POST", "api.openai.com", "/v1/responses/resp_1/cancel"),
        ("POST", "api.openai.com", "/v1/moderations"),
        ("POST", "api.openai.com", "/v1/batches"),
        ("POST", "api.openai.com", "/v1/files"),
        ("POST", "api.openai.com", "/v1/threads/thread_1/messages"),
        ("POST", "api.openai.com", "/v1/threads/thread_1/runs/run_1/cancel"),
        ("POST", GEMINI, "/v1beta/models/gemini-3-pro:countTokens"),
        ("POST", VERTEX, f"{PUBLISHERS}/google/models/imagen-4:predict"),
        ("POST", BEDROCK, "/model/m/count-tokens"),
        ("POST", "api.cohere.com", "/v1/tokenize"),
        ("POST", "api.example.com", "/v1/chat"),
        ("POST", "api.example.com", "/"),
        ("POST", "api.example.com", "/complete"),
        ("POST", "api.example.com", "/v1/predictions"),
        ("PUT", "api.openai.com", "/v1/chat/completions"),
        ("DELETE", "api.openai.com", "/v1/responses/resp_1"),
        ("GET", "api.openai.com", "/v1/chat/completions"),
        ("GET", "api.openai.com", "/v1/responses"),
        ("GET", "api.openai.com", "/v1/threads/thread_1/runs/run_1/steps"),
        ("GET", "openrouter.ai", "/api/v1/generation"),
        ("GET", "10.0.0.5", "/v1/responses/resp_1"),
        ("GET", "openrouter.ai.evil.example", "/v1/responses/resp_1"),
    ],
)
def test_anything_else_is_no_inference(method: str, host: str, path: str) -> None:
    """Counting, moderation and management make no line, nor does a GET at a host whose ids may come again."""
    assert Endpoints({}).find(host, None, path, method) is None


@pytest.mark.parametrize(
    ("host", "path", "name"),
    [
        ("api.openai.com", "/v1/responses/resp_1", "responses"),
        ("x.openai.azure.com", "/openai/v1/responses/resp_1", "responses"),
        ("api.openai.com", "/v1/threads/thread_1/runs/run_1", "runs"),
        (GEMINI, "/v1beta/interactions/v1_abc", "interactions"),
        ("api.replicate.com", "/v1/predictions/abc", "replicate"),
    ],
)
def test_a_poll_of_a_deferred_call_is_found(host: str, path: str, name: str) -> None:
    """There a GET tells the usage of an earlier request."""
    found = Endpoints({}).find(host, None, path, "GET")
    assert found is not None
    assert (name, True) == (found.wire_format.name, found.polled)


def test_a_configured_host_gets_the_formats_of_its_seller() -> None:
    """A proxy in front of Cohere speaks Cohere."""
    found = Endpoints({"llm.internal:8080/cohere": "cohere"}).find("llm.internal", 8080, "/cohere/v1/chat")
    assert found is not None
    assert ("cohere", "cohere_chat", True) == (found.provider, found.wire_format.name, found.known_host)


@pytest.mark.parametrize(
    ("request_body", "expected"),
    [({"model": "m"}, "m"), ({"model_id": "w"}, "w"), ({"model": 3}, "d"), ({"model": ""}, "d"), ({}, "d")],
)
def test_the_requested_model_is_in_the_body_or_in_the_path(request_body: dict, expected: str) -> None:
    """The body is asked first."""
    found = Endpoints({}).find("x.openai.azure.com", None, "/openai/deployments/d/chat/completions")
    assert found is not None
    assert expected == found.requested_model(request_body)


def test_the_model_of_a_form_is_found_before_its_file() -> None:
    """Audio transcription is asked for by multipart forms; the answer names no model."""
    form = (
        b'--b\r\nContent-Disposition: form-data; name="language"\r\n\r\nen\r\n'
        b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + b"\0" * 100_000
    )
    assert ("whisper-1", "") == (model_of_form(form), model_of_form(b'{"name": "model"}'))
