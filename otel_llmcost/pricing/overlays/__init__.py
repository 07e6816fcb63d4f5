"""Prices of your own over the book: negotiated rates, private models, deployments, commitments, credits, mark-ups."""
