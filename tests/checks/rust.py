"""As much of Rust's lexical structure as tells code from comments and finds functions."""

import re

TOKEN = re.compile(
    r"""(?P<comment>//[^\n]*|/\*(?:[^*]|\*(?!/))*\*/)
      | (?P<raw>\bb?r(?P<hashes>\#*)".*?"(?P=hashes))
      | (?P<string>b?"(?:\\.|[^"\\])*")
      | (?P<char>b?'(?:\\[^\n]+?|[^\\'\n])')""",
    re.VERBOSE | re.DOTALL,
)
FUNCTION = re.compile(
    r"^\s*(?:pub(?:\([^)]*\))?\s+)?(?:default\s+)?(?:const\s+)?(?:async\s+)?(?:unsafe\s+)?"
    r"(?:extern\s+\"[^\"]*\"\s+)?fn\s+(\w+)"
)
TEST_MODULE = re.compile(
    r"^\s*#\[cfg\(test\)\]\s*\n(?:\s*#\[[^\n]*\n)*"
    r"\s*(?:pub(?:\(\w+\))?\s+)?mod\s+(\w+)\s*([;{])",
    re.MULTILINE,
)


def blank(text):
    """As many lines, but empty."""
    return re.sub(r"[^\n]", " ", text)


def code_only(text):
    """`text` with its comments and the contents of its texts blanked; lines stay where they are."""

    def cover(match):
        if match["comment"]:
            return blank(match[0])
        return '"' + blank(match[0])[1:-1] + '"'

    return TOKEN.sub(cover, text)


def without_tests(text):
    """`text` up to its test module, which stands at the end of a file."""
    for match in TEST_MODULE.finditer(text):
        if match[2] == "{":
            return text[: match.start()]
    return text


def test_modules(text):
    """The names of the modules in files of their own that only tests compile."""
    return [match[1] for match in TEST_MODULE.finditer(text) if match[2] == ";"]


def functions(code):
    """Name, first and last line (from 0) of each function with a body."""
    lines = code.split("\n")
    found = []
    for first, line in enumerate(lines):
        if not (match := FUNCTION.match(line)):
            continue
        depth, opened = 0, False
        for last in range(first, len(lines)):
            for character in lines[last]:
                if character == "{":
                    depth, opened = depth + 1, True
                elif character == "}":
                    depth -= 1
            if opened and depth <= 0:
                found.append((match[1], first, last))
                break
            if not opened and lines[last].rstrip().endswith(";"):
                break
    return found
