"""Who is who: resident numbers, and the comparison of what facilities know of their patients. No I/O."""

from pacs.identity.compare import Judgement, Record, Verdict, judge, reused
from pacs.identity.fields import clean_phone, masked_phone
from pacs.identity.keys import keys_of
from pacs.identity.linking import Candidate, Decision, Group, Pair, decide
from pacs.identity.names import Name, compare_names, read_name
from pacs.identity.resident import Agreement, ResidentNumber, keyed_hash, read_resident_number, shown_id

__all__ = [
    "Agreement", "Candidate", "Decision", "Group", "Judgement", "Name", "Pair", "Record", "ResidentNumber", "Verdict",
    "clean_phone", "compare_names", "decide", "judge", "keyed_hash", "keys_of", "masked_phone", "read_name",
    "read_resident_number", "reused", "shown_id",
]  # fmt: skip
