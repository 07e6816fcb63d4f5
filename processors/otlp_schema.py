"""OTLP's trace messages, as far as we read them: a schema of our own for the same bytes.

What is not declared here (events, links, states, fields of later versions) stays in the message as it came, unread, and
goes out again. Text is declared as bytes, so that a span that was cut in the middle of a character is no broken
message. Attributes and nested values are declared as bytes too: most of them repeat from span to span and are looked
up whole (`otlp.pair_of`), and no depth of nesting can make a message unreadable.

Numbers of fields: opentelemetry-proto 1.x, trace/v1, resource/v1 and common/v1.
"""

from typing import Any, Final

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

_PACKAGE: Final = "otel_llmcost.otlp"
_BYTES: Final = FieldDescriptorProto.TYPE_BYTES
_SCALARS: Final = {
    "bytes": _BYTES,
    "bool": FieldDescriptorProto.TYPE_BOOL,
    "int32": FieldDescriptorProto.TYPE_INT32,
    "int64": FieldDescriptorProto.TYPE_INT64,
    "double": FieldDescriptorProto.TYPE_DOUBLE,
    "fixed64": FieldDescriptorProto.TYPE_FIXED64,
}

_MESSAGES: Final = {
    "Request": ("repeated ResourceSpans resource_spans 1",),
    "ResourceSpans": ("Resource resource 1", "repeated ScopeSpans scope_spans 2"),
    "Resource": ("repeated bytes attributes 1",),
    "ScopeSpans": ("Scope scope 1", "repeated Span spans 2"),
    "Scope": ("bytes name 1", "repeated bytes attributes 3"),
    "Span": (
        "bytes trace_id 1",
        "bytes span_id 2",
        "bytes parent_span_id 4",
        "bytes name 5",
        "int32 kind 6",
        "fixed64 start_time_unix_nano 7",
        "fixed64 end_time_unix_nano 8",
        "repeated bytes attributes 9",
        "Status status 15",
    ),
    "Shallow": ("repeated ShallowResourceSpans resource_spans 1",),
    "ShallowResourceSpans": ("repeated ShallowScopeSpans scope_spans 2",),
    "ShallowScopeSpans": ("repeated bytes spans 2",),
    "Status": ("int32 code 3",),
    "KeyValue": ("bytes key 1", "bytes value 2"),
    "AnyValue": (
        "oneof bytes string_value 1",
        "oneof bool bool_value 2",
        "oneof int64 int_value 3",
        "oneof double double_value 4",
        "oneof bytes array_value 5",
        "oneof bytes kvlist_value 6",
        "oneof bytes bytes_value 7",
    ),
    "ArrayValue": ("repeated bytes values 1",),
    "KeyValueList": ("repeated bytes values 1",),
}
"""Message → its fields as `[repeated|oneof] type name number`."""


def _file() -> FileDescriptorProto:
    file = FileDescriptorProto(name="otel_llmcost/otlp.proto", package=_PACKAGE, syntax="proto3")
    for name, declared in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for line in declared:
            *label, kind, field_name, number = line.split()
            field = message.field.add(name=field_name, number=int(number))
            repeated = "repeated" in label
            field.label = FieldDescriptorProto.LABEL_REPEATED if repeated else FieldDescriptorProto.LABEL_OPTIONAL
            if kind in _SCALARS:
                field.type = _SCALARS[kind]
            else:
                field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
            if "oneof" in label:
                if not message.oneof_decl:
                    message.oneof_decl.add(name="value")
                field.oneof_index = 0
    return file


_POOL: Final = DescriptorPool()
_POOL.Add(_file())


def _class(name: str) -> Any:
    return GetMessageClass(_POOL.FindMessageTypeByName(f"{_PACKAGE}.{name}"))


Request: Final[Any] = _class("Request")
Shallow: Final[Any] = _class("Shallow")
"""As `Request`, the spans unread."""
KeyValue: Final[Any] = _class("KeyValue")
AnyValue: Final[Any] = _class("AnyValue")
ArrayValue: Final[Any] = _class("ArrayValue")
KeyValueList: Final[Any] = _class("KeyValueList")
