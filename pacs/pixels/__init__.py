"""The pixel room: frames decoded, rendered and drawn. No I/O: bytes in, arrays and pictures out."""
