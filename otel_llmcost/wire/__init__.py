"""Sans-IO reading of a provider's HTTP exchange: bytes in, one `Reading` out. No HTTP client is known here."""
