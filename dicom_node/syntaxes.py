"""UIDs that many parts of the node name."""

VERIFICATION = "1.2.840.10008.1.1"
IMPLICIT, EXPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
