"""Runs Python agents for a Dockrion server: `docs/python-channel.md` says how the two talk."""

__version__ = "0.1.0"
