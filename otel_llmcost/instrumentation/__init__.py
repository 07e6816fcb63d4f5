"""Instrumentation of HTTP clients: every provider's SDK looks alike there.

`observer` is the part that knows spans and no client, `client` patches an httpx-like module, `httpx` and `httpx2` name
the two modules it is used with.
"""
