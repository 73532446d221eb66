"""Character sets: from the bytes of text values to ``str`` (PS3.5 section 6.1, PS3.3 section C.12.1.1.2).

Single-byte sets, code extensions by ISO/IEC 2022 escape sequences (Japanese, Korean, Chinese and the single-byte ones),
and the sets without code extensions: UTF-8, GB18030, GBK.

C1  Decoding never fails: each byte without a meaning becomes U+FFFD. The stored bytes keep what it was.
C2  Delimiters are looked for in decoded text. In GBK, GB18030 and ISO-IR 87 a backslash, ``^`` or ``=`` can be the
    second byte of a character, so splitting bytes first would cut characters in two.
C3  At a delimiter and at every control character the character set falls back to that of Value 1 (PS3.5 6.1.2.5.3).

Escape sequences are obeyed whether or not Specific Character Set announces them: senders often forget to, and such a
sequence has no other meaning. In the sets of Japan 5C and 7E stay ``\\`` and ``~``, not the yen sign and overline,
since 5C parts values in them too.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

# PS3.3 tables C.12-2 and C.12-3: number of the registration, and the Python codec of its G1 half over ASCII.
_SINGLE_BYTE = {
    "6": "ascii",
    "13": "katakana",
    "100": "iso8859-1",
    "101": "iso8859-2",
    "109": "iso8859-3",
    "110": "iso8859-4",
    "126": "iso8859-7",
    "127": "iso8859-6",
    "138": "iso8859-8",
    "144": "iso8859-5",
    "148": "iso8859-9",
    "166": "tis-620",
    "203": "iso8859-15",
}
# Table C.12-4: multi-byte sets that live in G1, so that Value 1 could only by mistake, but meaningfully, name them.
_DOUBLE_BYTE_G1 = {"149": "euc-kr", "58": "gb2312"}
# Table C.12-5: sets that know no code extensions.
_STAND_ALONE = {"ISO IR 192": "utf-8", "GB18030": "gb18030", "GBK": "gbk", "ISO 2022 GBK": "gbk"}

# What each escape sequence designates: ASCII or ISO-IR 14 in G0, a double-byte set in G0, or a set in G1.
_TO_G0 = {b"(B": "", b"(J": "", b"$B": "iso2022-jp", b"$@": "iso2022-jp", b"$(D": "iso2022-jp-2"}
_TO_G1 = {
    b")I": "katakana",
    b"-A": "iso8859-1",
    b"-B": "iso8859-2",
    b"-C": "iso8859-3",
    b"-D": "iso8859-4",
    b"-F": "iso8859-7",
    b"-G": "iso8859-6",
    b"-H": "iso8859-8",
    b"-L": "iso8859-5",
    b"-M": "iso8859-9",
    b"-T": "tis-620",
    b"-b": "iso8859-15",
    b"$)C": "euc-kr",
    b"$)A": "gb2312",
}
_DESIGNATION = {"iso2022-jp": b"\x1b$B", "iso2022-jp-2": b"\x1b$(D"}

_REGISTRATION = re.compile("ISO (?:2022 )?IR ([0-9]+)")
# JIS X 0201: ASCII below, half-width katakana at A1 to DF, nothing else.
_KATAKANA = "".join(
    chr(byte) if byte < 0x80 else chr(0xFF61 + byte - 0xA1) if 0xA1 <= byte <= 0xDF else "\ufffe" for byte in range(256)
)

# A run that one character set decodes as a whole. With a double-byte set in G0 a delimiter may be half a character.
_DOUBLE_RUN = re.compile(rb"[\x21-\x7e]+|[\x80-\xff]+")
_SINGLE_RUN = re.compile(rb"[^\x00-\x1f]+")
_SINGLE_RUN_VALUES = re.compile(rb"[^\x00-\x1f\\]+")
_SINGLE_RUN_NAMES = re.compile(rb"[^\x00-\x1f\\^=]+")


@dataclass(frozen=True, slots=True)
class CharacterSet:
    """One Specific Character Set (0008,0005), ready to decode.

    Attributes
    ----------
    codec : str
        Of the bytes before any escape sequence: the Python codec's name, or ``katakana`` for JIS X 0201.
    extensible : bool
        Escape sequences may change it; not so in UTF-8, GB18030 and GBK (PS3.3 C.12.1.1.2).
    """

    codec: str = "ascii"
    extensible: bool = True

    def decode(self, raw: bytes, *, delimiters: str = "") -> str:
        r"""The text of a value.

        Parameters
        ----------
        raw
            The bytes, all values of the element together (C2).
        delimiters
            At which the character set falls back: ``"\\"`` for text of several values, ``"\\^="`` for person names,
            nothing for ST, LT and UT, in which a backslash is a character like any other.

        Examples
        --------
        >>> CharacterSet("iso8859-5").decode(bytes.fromhex("bbeeda63"))
        'Люкc'
        """
        if not self.extensible or b"\x1b" not in raw:
            return _decode_run(raw, self.codec)
        return _decode_extended(raw, self.codec, delimiters)


DEFAULT = CharacterSet()


@lru_cache(maxsize=256)
def parse_character_set(raw: bytes) -> CharacterSet:
    r"""The character set that the value of Specific Character Set (0008,0005) names.

    Only Value 1 decides: later ones announce escape sequences, which speak for themselves. Spellings with ``_``, ``-``
    and blanks exchanged are accepted, as they occur; an unknown term means the default repertoire, ASCII.

    Examples
    --------
    >>> parse_character_set(b"ISO_IR 100").codec, parse_character_set(rb"\ISO 2022 IR 87").codec
    ('iso8859-1', 'ascii')
    """
    term = raw.split(b"\\")[0].decode("ascii", "replace").strip(" \0").upper()
    words = re.sub("[ _-]+", " ", term)
    if words in _STAND_ALONE:
        return CharacterSet(_STAND_ALONE[words], extensible=False)
    registration = _REGISTRATION.fullmatch(words)
    if not registration:
        return DEFAULT
    number = registration[1]
    return CharacterSet(_SINGLE_BYTE.get(number) or _DOUBLE_BYTE_G1.get(number, "ascii"))


def _decode_run(raw: bytes, codec: str) -> str:
    """Bytes of one character set, which includes ASCII."""
    if codec == "katakana":
        return codecs.charmap_decode(raw, "replace", _KATAKANA)[0]
    return raw.decode(codec, "replace")


def _decode_extended(raw: bytes, initial: str, delimiters: str) -> str:
    """Text with escape sequences, run by run.

    ``double`` is the codec of a double-byte set in G0, or empty for ASCII; ``codec`` that of G1 with ASCII.
    """
    single_run = _SINGLE_RUN_NAMES if "^" in delimiters else _SINGLE_RUN_VALUES if delimiters else _SINGLE_RUN
    double, codec = "", initial
    text: list[str] = []
    position = 0
    while position < len(raw):
        if raw[position] == 0x1B:
            for sequence in (raw[position + 1 : position + 3], raw[position + 1 : position + 4]):
                if sequence in _TO_G0:
                    double = _TO_G0[sequence]
                    break
                if sequence in _TO_G1:
                    codec = _TO_G1[sequence]
                    break
            else:
                text.append(REPLACEMENT)
                sequence = b""
            position += 1 + len(sequence)
            continue
        run = (_DOUBLE_RUN if double else single_run).match(raw, position)
        if run is None:
            character = chr(raw[position])
            text.append(character)
            position += 1
            if character < " " or character in delimiters:
                double, codec = "", initial  # C3
        elif double and run[0][0] < 0x80:
            # An odd byte is no half of a character; most likely a delimiter before which the set was not reset.
            pairs = run[0][: len(run[0]) & ~1]
            text.append((_DESIGNATION[double] + pairs).decode(double, "replace"))
            position += len(pairs)
            if len(pairs) < len(run[0]):
                double = ""
        else:
            text.append(_decode_run(run[0], codec))
            position = run.end()
    return "".join(text)


@lru_cache(maxsize=4096)
def fold(text: str) -> str:
    """Text as it is compared without regard to case and accents, for matching person names (PS3.4 C.2.2.2.1).

    Compatibility decomposition, case folding, accents removed, recomposed: full-width and half-width forms meet, and
    one Hangul syllable or kana stays one character for the wildcard ``?``. The voicing marks of kana stay: they make
    another letter, not an accent.

    Examples
    --------
    >>> fold("Müller-LÜDENSCHEIDT^Jérôme"), fold("ﾔﾏﾀﾞ") == fold("ヤマダ") != fold("ヤマタ")
    ('muller-ludenscheidt^jerome', True)
    """
    if text.isascii():
        return text.lower()
    # Twice: case folding brings forth new accents (İ) and stripping first keeps U+0345 from becoming a letter.
    for _ in range(2):
        decomposed = unicodedata.normalize("NFKD", text)
        kept = (c for c in decomposed if not unicodedata.combining(c) or c in "\u3099\u309a")
        text = "".join(kept).casefold()
    return unicodedata.normalize("NFC", text)
