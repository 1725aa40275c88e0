#!/usr/bin/env python3
"""The house style, as far as it can be counted: prints counts, and fails on what must not occur.

  tests/checks/style.py           the whole repository
  tests/checks/style.py PATH …    only files below these

Counted over Rust that is not a test: tuple assignments, named closures, blank lines and comments
inside functions, lengths of files and functions; over the whole repository, each must stay within
its bound. Forbidden everywhere: lines over 100 columns, words of a private dialect, and the names
that such words once had in code.
"""

import pathlib
import re
import subprocess
import sys

import rust

COLUMNS = 100
LONGEST_FUNCTION = 80

# Word, and what to write instead.
WORDS = [
    (r"the own \w+", "our …, this …"),
    (r"anew", "again"),
    (r"whoever", "the caller, a peer that …"),
    (r"shall", "must, will"),
    (r"mend(?:s|ed|ing)?", "correct, recover, recreate"),
    (r"stranded", "silent"),
    (r"littered", "freed"),
    (r"tidied", "trimmed"),
    (r"(?:is|are) told", "receives, is notified"),
]
WORD = re.compile(r"(?<![A-Za-z])(?:%s)(?![A-Za-z])" % "|".join(word for word, _ in WORDS), re.I)

# Name of a type, and what it is called now.
NAMES = {
    "Train": "GsoBatch",
    "Desk": "InFlight",
    "Taken": "Lookup",
    "Flight": "Query",
    "Said": "CachedResponse",
    "Told": "Metadata",
    "Fate": "Decision",
    "Halt": "Shutdown",
    "Room": "Buffer",
    "Sketch": "Draft",
    "Dice": "Rng",
    "Here": "LocalGateway",
    "Ground": "ReloadContext",
    "Fresh": "NextConfig",
    "Running": "CurrentConfig",
    "Elsewhere": "Forward",
}
# A variant of an enum may have such a name, since its enum says what is meant: Phase::Running.
NAME = re.compile(r"(?<!::)\b(?:%s)\b" % "|".join(NAMES))
VARIANT = re.compile(r"^\s+(?:%s)(?:[({].*)?,?$" % "|".join(NAMES))
SENDER = re.compile(r"\b(?:struct|enum|trait|type) Send\b")

TUPLE_ASSIGNMENT = re.compile(r"^\s*(?:let )?\((?:mut )?[\w.]+(?:, *(?:mut )?[\w.]+)+\) = \(")
NAMED_CLOSURE = re.compile(r"^\s*let (?:mut )?\w+(?:: [^=]+)? = (?:move )?\|")

COMMENT = re.compile(r"\s*//(?![/!])")
PYTHON_TEXT = re.compile(
    r"""\"\"\".*?\"\"\"|#[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""", re.DOTALL
)

# Written by programs.
EXEMPT = ("tests/results/", "tests/bench/results/", "Cargo.lock", "LICENSE")
# Faults of files are tested there by line and column.
FIXTURES = "config/tests/cases/"
# Lists the forbidden words.
VOCABULARY = pathlib.Path("tests/checks/style.py")
TEST_PATH = re.compile(r"(?:^|/)(?:tests|benches|fuzz|examples)/|(?:^|/)tests\.rs$")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
TABLE_ROW = re.compile(r"^\s*\|")


def tracked(below):
    """Every text file that git knows, and those not yet added."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *below]
    for name in sorted(set(subprocess.check_output(command, text=True).split("\n"))):
        path = pathlib.Path(name)
        if name and path.is_file() and not name.startswith(EXEMPT):
            yield path


def kind(path, text):
    """The language of a file; None for those that are not checked."""
    if path.suffix in (".rs", ".md", ".toml", ".py", ".sh", ".zone", ".conf"):
        return path.suffix[1:]
    if text.startswith("#!"):
        return "py" if "python" in text.split("\n")[0] else "sh"
    return None


def joined(text):
    """`text` in one line, without comment marks, and for each character its line (from 1)."""
    characters, lines = [], []
    for number, line in enumerate(text.split("\n"), 1):
        line = re.sub(r"^\s*(?://[/!]?|#|\*|>)*\s*", "", line) + " "
        characters.append(line)
        lines += [number] * len(line)
    return "".join(characters), lines


def can_wrap(path, line, language):
    """False for table rows and long addresses in Markdown, and for fixtures."""
    if language == "md":
        return not TABLE_ROW.match(line) and " " in line.strip()
    return language not in ("zone", "conf") and not str(path).startswith(FIXTURES)


def faults(path, text, language):
    """What must not occur in a file: line and reason."""
    # Drawings and commands in Markdown may be wider.
    prose = FENCE.sub(lambda match: rust.blank(match[0]), text) if language == "md" else text
    for number, line in enumerate(prose.split("\n"), 1):
        if len(line.rstrip()) > COLUMNS and can_wrap(path, line, language):
            yield number, f"{len(line)} columns; at most {COLUMNS}"

    if path == VOCABULARY:
        return
    # The changelog names what was renamed.
    if path.name == "CHANGELOG.md":
        text = re.sub(r"`[^`\n]*`", lambda match: rust.blank(match[0]), text)
    flat, lines = joined(text)
    for match in WORD.finditer(flat):
        yield lines[match.start()], f"“{match[0]}”"

    code = rust.code_only(text) if language == "rs" else ""
    if language == "py":
        code = PYTHON_TEXT.sub(lambda match: rust.blank(match[0]), text)
    for number, line in enumerate(code.split("\n"), 1):
        for match in [] if VARIANT.match(line) else NAME.finditer(line):
            yield number, f"{match[0]} as a name; {NAMES[match[0]]} is meant"
        if SENDER.search(line):
            yield number, "a type Send hides std::marker::Send; Sender is meant"


def percentile(values, part):
    values = sorted(values)
    return values[min(len(values) - 1, int(part * len(values)))] if values else 0


class Counts:
    """The counts over Rust that is not a test."""

    def __init__(self):
        self.lines = self.tuples = self.closures = self.comments = 0
        self.body = self.blank = 0
        self.files, self.functions = [], []

    def add(self, path, text):
        text = rust.without_tests(text)
        code = rust.code_only(text)
        source, code = text.split("\n"), code.split("\n")
        self.lines += len(source)
        self.files.append(len(source))
        self.tuples += sum(bool(TUPLE_ASSIGNMENT.match(line)) for line in code)
        self.closures += sum(bool(NAMED_CLOSURE.match(line)) for line in code)

        inside = set()
        for name, first, last in rust.functions("\n".join(code)):
            self.functions.append((last - first + 1, name, f"{path}:{first + 1}"))
            inside.update(range(first + 1, last))
        self.body += len(inside)
        self.blank += sum(not source[line].strip() for line in inside)
        self.comments += sum(bool(COMMENT.match(source[line])) for line in inside)

    def figures(self):
        """Each count: what, value, unit, "≤" or "≥", bound."""
        thousands = max(self.lines, 1) / 1000
        lengths = [length for length, *_ in self.functions]
        long = sum(length > LONGEST_FUNCTION for length in lengths)
        return [
            ("tuple assignments", self.tuples / thousands, "per 1,000 lines", "≤", 0.1),
            ("named closures", self.closures / thousands, "per 1,000 lines", "≤", 0.4),
            ("blank lines in functions", 100 * self.blank / max(self.body, 1), "%", "≥", 5),
            ("comments in functions", self.comments / thousands / 10, "% of lines", "≥", 2),
            ("lines of a file, p90", percentile(self.files, 0.9), "", "≤", 350),
            ("lines of a function, p90", percentile(lengths, 0.9), "", "≤", 30),
            (f"functions over {LONGEST_FUNCTION} lines", long, f"of {len(lengths)}", "≤", 0),
        ]

    def missed(self):
        """The counts that are beyond their bounds, to one decimal.

        Every new file moves the shares of blank lines and comments: they may be a tenth below.
        """
        for what, value, unit, relation, bound in self.figures():
            value = round(value, 1)
            if value > bound if relation == "≤" else value < 0.9 * bound:
                yield f"{what}: {value} {unit}; {relation} {bound} is wanted"

    def print(self):
        print(f"{'files, lines':28}{len(self.files)}, {self.lines}")
        for what, value, unit, relation, bound in self.figures():
            shown = f"{value:.1f}" if isinstance(value, float) else str(value)
            print(f"{what:28}{f'{shown} {unit}'.rstrip()} ({relation} {bound})")

        for length, name, place in sorted(self.functions, reverse=True):
            if length > LONGEST_FUNCTION:
                print(f"  {place}: {name} has {length} lines")


def main():
    below = sys.argv[1:] or ["."]
    sources = {}
    for path in tracked(below):
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        if language := kind(path, text):
            sources[path] = (text, language)

    only_tests = set()
    for path, (text, language) in sources.items():
        if language == "rs":
            home = path.parent if path.stem in ("lib", "main", "mod") else path.with_suffix("")
            only_tests |= {home / name for name in rust.test_modules(text)}

    counts, found = Counts(), []
    for path, (text, language) in sources.items():
        found += [f"{path}:{line}: {what}" for line, what in faults(path, text, language)]
        is_test = TEST_PATH.search(str(path)) or any(
            path.with_suffix("") == module or module in path.parents for module in only_tests
        )
        if language == "rs" and not is_test:
            counts.add(path, text)

    counts.print()
    # Rates over a few files say nothing.
    if not sys.argv[1:]:
        found += counts.missed()
    print(f"\n{len(sources)} files, {len(found)} faults")
    for fault in found:
        print(fault)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
