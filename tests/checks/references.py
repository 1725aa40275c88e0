#!/usr/bin/env python3
"""Fails if a file refers to a document that is not in the repository.

Checked are the relative links of Markdown files, with the headings that they name, and every
mention of a Markdown file in comments, texts and scripts. Markdown may name a function as
`path.rs:function`, and SECURITY.md names tests: both must exist.
"""

import pathlib
import re
import subprocess
import sys

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+\s+(.*)$", re.MULTILINE)
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
MENTION = re.compile(r"(?<![\w/.$-])(?:\.{0,2}/)?[\w.-]+(?:/[\w.-]+)*\.md\b")

FUNCTION = re.compile(r"`([\w./-]+\.rs):(\w+)`")
TEST = re.compile(r"`([a-z0-9]+(?:_[a-z0-9]+){3,})`")

# These name documents that are no files of the repository.
EXEMPT = ("tests/checks/", "LICENSE", "Cargo.lock")


def tracked():
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.check_output(command, text=True).split("\n")
    return sorted(name for name in set(names) if name and pathlib.Path(name).is_file())


def anchors(text):
    """The anchors of a document's headings, as the usual viewers of Markdown make them."""
    found = set()
    for heading in HEADING.findall(FENCE.sub("", text)):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        anchor = re.sub(r"[^\w\- ]", "", plain.strip().lower()).replace(" ", "-")
        # A heading that occurs again gets a number.
        found.add(anchor if anchor not in found else f"{anchor}-1")
    return found


def broken_links(path, text):
    for match in LINK.finditer(FENCE.sub(lambda fence: re.sub(r"[^\n]", " ", fence[0]), text)):
        target, _, anchor = match[1].partition("#")
        if re.match(r"[a-z]+:", match[1]):
            continue
        to = path if not target else path.parent / target
        line = text.count("\n", 0, match.start()) + 1
        if not to.exists():
            yield line, f"the link {match[1]} leads nowhere"
        elif anchor and to.suffix == ".md" and anchor not in anchors(to.read_text("utf-8")):
            yield line, f"{to} has no heading #{anchor}"


def unknown_mentions(path, text, names):
    for match in MENTION.finditer(text):
        name = match[0].removeprefix("./")
        here = (path.parent / name).exists() or pathlib.Path(name).exists()
        # A bare name, or the end of a path, is enough if such a file exists.
        if not here and not any(known.endswith("/" + name.lstrip("./")) for known in names):
            yield text.count("\n", 0, match.start()) + 1, f"{name} is not in the repository"


def defined_functions(names):
    found = set()
    for name in names:
        if name.endswith(".rs"):
            found.update(re.findall(r"\bfn (\w+)", pathlib.Path(name).read_text("utf-8")))
    return found


def unknown_functions(path, text):
    for match in FUNCTION.finditer(text):
        file = pathlib.Path(match[1])
        if not file.is_file() or not re.search(rf"\bfn {match[2]}\b", file.read_text("utf-8")):
            yield text.count("\n", 0, match.start()) + 1, f"{match[1]} has no function {match[2]}"


def unknown_tests(text, functions):
    for match in TEST.finditer(text):
        if match[1] not in functions:
            yield text.count("\n", 0, match.start()) + 1, f"there is no test {match[1]}"


def main():
    names = tracked()
    functions = defined_functions(names)
    count = 0
    for name in names:
        path = pathlib.Path(name)
        if name.startswith(EXEMPT):
            continue
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue
        faults = list(unknown_mentions(path, text, names))
        if path.suffix == ".md":
            faults += broken_links(path, text)
            faults += unknown_functions(path, text)
        if name == "SECURITY.md":
            faults += unknown_tests(text, functions)
        for line, what in sorted(set(faults)):
            print(f"{name}:{line}: {what}")
            count += 1
    print(f"{len(names)} files, {count} references to what is not there")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
