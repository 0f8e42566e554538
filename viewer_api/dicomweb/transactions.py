"""What each DICOMweb transaction takes and gives: one table, from the tables by which the routes themselves work. From
it come the capabilities (PS3.18 8.9), the OpenAPI description and the conformance statement; a test holds it to the
routes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from pacs.attributes import Attribute, Level, above, at
from pacs.pixels.captions import KEYWORDS
from pacs.pixels.encode import ENCODABLE, LOSSLESS
from pacs.pixels.parts import SYNTAXES
from pacs.pixels.video import CONTAINERS
from pacs.uids import UID_LENGTH_MAX
from viewer_api.dicomweb import annotation
from viewer_api.dicomweb.datasets import JSON, XML
from viewer_api.dicomweb.drawing import FUNCTIONS, KINDS, QUALITY, SIDE_MAX
from viewer_api.dicomweb.frames import DEFAULT_SYNTAX, PART_TYPES
from viewer_api.dicomweb.media import ACCEPT_CHARACTERS_MAX, EXPLICIT_LITTLE
from viewer_api.dicomweb.qido import AFTER, NOT_OFFERED, TOTAL
from viewer_api.dicomweb.rendered import DOCUMENTS, THUMBNAIL
from viewer_api.dicomweb.wado import DICOM, INSTANCE, OCTETS, SERIES
from viewer_api.dicomweb.wado_uri import FRAMES_MAX, UIDS
from viewer_api.dicomweb.zipped import ZIP

ROOT, WADO_URI = "/dicom-web", "/wado"
STUDIES, STUDY = "/studies", "/studies/{study_uid}"
UID_PATTERN = r"^[0-9]+(\.[0-9]+)*$"
EVERYWHERE = (400, 401, 404, 503)  # may be answered to all requests
Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Media:
    """A media type of an answer or a body; the first of its transfer syntaxes is the default (PS3.18 8.7.3)."""

    media_type: str
    multipart: bool = False
    syntaxes: tuple[str, ...] = ()

    @property
    def shape(self) -> str:
        """As a Content-Type without its parameters."""
        return "multipart/related" if self.multipart else self.media_type

    @property
    def accepts(self) -> tuple[str, ...]:
        """What an Accept may say to have it."""
        plain = f'{self.shape}; type="{self.media_type}"' if self.multipart else self.media_type
        return (plain, *(f"{plain}; transfer-syntax={syntax}" for syntax in self.syntaxes))


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of the query."""

    name: str
    schema: Schema
    description: str = ""
    required: bool = False


@dataclass(frozen=True, slots=True)
class Transaction:
    """`name` is that of PS3.18 table H-1 in one word; `statuses` are those of its own, of which `told` come with what
    it gives."""

    name: str
    clause: str
    gives: tuple[Media, ...]
    takes: tuple[Media, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    keys: tuple[Attribute, ...] = ()  # that are matched, among others
    statuses: tuple[int, ...] = (200,)
    told: tuple[int, ...] = (200,)
    headers: dict[str, str] = field(default_factory=dict)  # of the answer: name and what it says

    @property
    def answered(self) -> tuple[int, ...]:
        """All statuses that may be answered."""
        return tuple(sorted({*self.statuses, *EVERYWHERE}))


def _both(media: Media) -> tuple[Media, Media]:
    return Media(media.media_type, True, media.syntaxes), Media(media.media_type, False, media.syntaxes)


def _frames() -> Iterable[Media]:
    """A media type, and the transfer syntaxes in which frames of it are made or were stored."""
    yield from _both(Media(OCTETS, syntaxes=(EXPLICIT_LITTLE, "*")))
    for media_type, default in DEFAULT_SYNTAX.items():
        others = sorted(
            s for s in PART_TYPES if PART_TYPES[s] == media_type and s in ENCODABLE and s != default
        )
        yield from _both(Media(media_type, syntaxes=(default, *others)))
    for media_type, syntaxes in SYNTAXES.items():  # as it was stored; none of these is made
        if media_type not in DEFAULT_SYNTAX and media_type in PART_TYPES.values():
            yield from _both(Media(media_type, syntaxes=syntaxes))


# Of pixels also what they are, each frame a part.
BULK = (
    *_both(Media(OCTETS, syntaxes=(EXPLICIT_LITTLE, "*"))),
    *(Media(kind, True, ("*",)) for kind in sorted(set(PART_TYPES.values()))),
)
DATASETS = (Media(JSON), Media(XML, True))
DATASET = (Media(JSON), Media(XML))
PART_10 = _both(Media(DICOM, syntaxes=(EXPLICIT_LITTLE, *sorted(LOSSLESS), "*")))
FILES = (*PART_10, Media(ZIP, syntaxes=("*", EXPLICIT_LITTLE, *sorted(LOSSLESS))))
TAKEN = (*PART_10, *_both(Media(JSON)), *_both(Media(XML)))
PICTURES = tuple(Media(media_type) for media_type in KINDS)
DOCUMENT = tuple(Media(media_type) for media_type in DOCUMENTS)
FILMS = tuple(Media(media_type) for media_type in CONTAINERS)
RENDERED = (*PICTURES, *(Media(media_type, True) for media_type in KINDS), *FILMS, *DOCUMENT)

_ANNOTATION = Parameter(
    annotation.PARAMETER,
    {"type": "string", "pattern": annotation.PATTERN},
    f"{' or '.join(KEYWORDS)}, or both: burned into the picture",
)  # fmt: skip
ACCEPT = Parameter("accept", {"type": "string", "maxLength": ACCEPT_CHARACTERS_MAX}, "Goes before the header")
CHARSET = Parameter("charset", {"type": "string", "enum": ["utf-8"]}, "Of texts")
_NUMBER = r"-?[0-9]{1,6}(\.[0-9]{1,6})?"
_SIDE = rf"[1-9][0-9]{{0,{len(str(SIDE_MAX)) - 2}}}"
DRAWN = (
    ACCEPT,
    Parameter("window", {"type": "string", "pattern": rf"^{_NUMBER},[1-9][0-9]{{0,5}}(,({'|'.join(FUNCTIONS)}))?$"},
              "center,width and a function"),
    Parameter("viewport", {"type": "string", "pattern": rf"^{_SIDE},{_SIDE}(,[0-9]*,[0-9]*(,[0-9]*,[0-9]*)?)?$"},
              "width,height, and the part of the source: x,y,width,height"),
    Parameter("quality", {"type": "integer", "minimum": 1, "maximum": 100, "default": QUALITY}),
    _ANNOTATION,
)  # fmt: skip
_UID = {"type": "string", "pattern": UID_PATTERN, "maxLength": UID_LENGTH_MAX}
_SIDES = {"type": "integer", "minimum": 1, "maximum": SIDE_MAX}
_REAL = {"type": "number"}
OF_WADO_URI = (
    Parameter("requestType", {"type": "string", "enum": ["WADO"]}, required=True),
    *(Parameter(name, _UID, required=True) for name in UIDS),
    Parameter("contentType", {"type": "string", "maxLength": ACCEPT_CHARACTERS_MAX}),
    Parameter("transferSyntax", _UID, "Of an instance"),
    Parameter("frameNumber", {"type": "integer", "minimum": 1, "maximum": FRAMES_MAX}),
    Parameter("windowCenter", _REAL, "With windowWidth"),
    Parameter("windowWidth", _REAL | {"minimum": 1}, "With windowCenter"),
    Parameter("rows", _SIDES),
    Parameter("columns", _SIDES),
    Parameter("region", {"type": "string"}, "xmin,ymin,xmax,ymax, each from 0 to 1"),
    Parameter("imageQuality", {"type": "integer", "minimum": 1, "maximum": 100, "default": QUALITY}),
    _ANNOTATION,
)


# Of what is one sequence of bytes, and no multipart answer (RFC 9110 13.1, 14).
RANGES = (206, 304, 416)
WARNED = {
    "Warning": "299: of an annotation that is not supported, does not fit, or that the font cannot write"
}
RANGED = {"ETag": "of these bytes", "Accept-Ranges": "bytes", "Content-Range": "of a part"}


def keys(level: Level) -> tuple[Attribute, ...]:
    """The attributes of the table that a search at this level matches, besides all others of instances."""
    return tuple(a for a in at(*above(level)) if a.vr != "SQ")


def _search(name: str, level: Level) -> Transaction:
    whole = {"type": "integer", "minimum": 0, "maximum": 10**12 - 1}
    paging = (
        Parameter("limit", whole),
        Parameter("offset", whole),
        Parameter("fuzzymatching", {"type": "boolean"}, "Of patients' names"),
        Parameter("includefield", {"type": "array", "items": {"type": "string"}}, "Keywords, tags, or all"),
        Parameter(AFTER, {"type": "string"}, "Where the page before ended: of its Link"),
        Parameter(TOTAL, {"type": "boolean"}, "Count all, up to 200"),
        *(
            Parameter(name, {"type": "boolean"}, "Not performed, of which a Warning tells")
            for name in NOT_OFFERED
        ),
        ACCEPT,
        CHARSET,
    )
    return Transaction(
        name, "10.6", DATASETS, parameters=paging, keys=keys(level), statuses=(200, 204, 406),
        headers={
            "Warning": "299: there are more results, the total may be larger or is unknown, a matching is not offered",
            "Link": "rel=next: what follows", "X-Total-Count": "where total is asked for",
        },
    )  # fmt: skip


def _retrieve(
    name: str, gives: tuple[Media, ...], *statuses: int, parameters: tuple[Parameter, ...] = (ACCEPT,)
) -> Transaction:
    ranged = 206 in statuses
    return Transaction(
        name, "10.4", gives, parameters=parameters, statuses=(200, 406, *statuses),
        told=(200, 206) if ranged else (200,), headers=RANGED if ranged else {},
    )  # fmt: skip


def _rendered(name: str, *statuses: int) -> Transaction:
    made = _retrieve(name, RENDERED, 422, *statuses, parameters=DRAWN)
    return replace(made, headers=made.headers | WARNED)


def _metadata(name: str) -> Transaction:
    tag = {"ETag": "of all that the answer is made of"}
    return Transaction(
        name, "10.4", DATASETS, parameters=(ACCEPT, CHARSET), statuses=(200, 304, 406), headers=tag
    )


def _thumbnail(name: str) -> Transaction:
    return Transaction(
        name, "10.4", (Media(THUMBNAIL.media_type),), parameters=(ACCEPT,), statuses=(200, 406, 422)
    )


def _store(name: str) -> Transaction:
    statuses = (200, 202, 403, 406, 408, 409, 413, 415, 507)
    return Transaction(
        name, "10.5", DATASET, TAKEN, (ACCEPT, CHARSET), statuses=statuses, told=(200, 202, 409, 507),
        headers={"Location": "of the study, where all that is stored is of one"},
    )  # fmt: skip


# (method, path below ROOT) → what it is.
TRANSACTIONS: dict[tuple[str, str], Transaction] = {
    ("GET", STUDIES): _search("SearchForStudies", Level.STUDY),
    ("POST", STUDIES): _store("StoreInstances"),
    ("GET", STUDY): _retrieve("RetrieveStudy", FILES, 422, *RANGES),
    ("POST", STUDY): _store("StoreStudyInstances"),
    ("GET", STUDY + "/metadata"): _metadata("RetrieveStudyMetadata"),
    ("GET", STUDY + "/rendered"): _rendered("RetrieveRenderedStudy", *RANGES),
    ("GET", STUDY + "/thumbnail"): _thumbnail("RetrieveStudyThumbnail"),
    ("GET", STUDY + "/series"): _search("SearchForStudySeries", Level.SERIES),
    ("GET", STUDY + "/instances"): _search("SearchForStudyInstances", Level.IMAGE),
    ("GET", STUDY + SERIES): _retrieve("RetrieveSeries", FILES, 422, *RANGES),
    ("GET", STUDY + SERIES + "/metadata"): _metadata("RetrieveSeriesMetadata"),
    ("GET", STUDY + SERIES + "/rendered"): _rendered("RetrieveRenderedSeries", *RANGES),
    ("GET", STUDY + SERIES + "/thumbnail"): _thumbnail("RetrieveSeriesThumbnail"),
    ("GET", STUDY + SERIES + "/instances"): _search("SearchForStudySeriesInstances", Level.IMAGE),
    ("GET", STUDY + INSTANCE): _retrieve("RetrieveInstance", FILES, 422, *RANGES),
    ("GET", STUDY + INSTANCE + "/metadata"): _retrieve(
        "RetrieveInstanceMetadata", DATASETS, parameters=(ACCEPT, CHARSET)
    ),
    ("GET", STUDY + INSTANCE + "/rendered"): _rendered("RetrieveRenderedInstance", *RANGES),
    ("GET", STUDY + INSTANCE + "/thumbnail"): _thumbnail("RetrieveInstanceThumbnail"),
    ("GET", STUDY + INSTANCE + "/bulkdata/{path}"): _retrieve("RetrieveBulkdata", BULK, 422, *RANGES),
    ("GET", STUDY + INSTANCE + "/frames/{frames}"): _retrieve(
        "RetrieveFrames", tuple(_frames()), 422, *RANGES
    ),
    ("GET", STUDY + INSTANCE + "/frames/{frames}/rendered"): _rendered("RetrieveRenderedFrames"),
    ("GET", STUDY + INSTANCE + "/frames/{frames}/thumbnail"): _thumbnail("RetrieveFrameThumbnail"),
    ("GET", "/series"): _search("SearchForSeries", Level.SERIES),
    ("GET", "/instances"): _search("SearchForInstances", Level.IMAGE),
}
URI_SERVICE = Transaction(
    "RetrieveInstanceByURI", "9", (*PICTURES, Media(DICOM, syntaxes=PART_10[0].syntaxes), *FILMS, *DOCUMENT),
    parameters=OF_WADO_URI, statuses=(200, 406, 422, *RANGES), told=(200, 206), headers=RANGED | WARNED,
)  # fmt: skip
