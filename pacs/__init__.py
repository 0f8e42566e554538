"""The vocabulary: attributes, queries, UIDs, parsing, pixels, settings. No I/O (docs/ARCHITECTURE.md)."""

VERSION = "0.1.0"
