# SPDX-License-Identifier: Apache-2.0
"""The pages of documentation, taken apart: their blocks, and what kind each is of."""
import pathlib
import re

SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent
PAGES = [SOURCE / "README.md", SOURCE / "CONTRIBUTING.md", SOURCE / "examples/README.md",
         *sorted((SOURCE / "docs").glob("*.md"))]

# Indented blocks that are no commands, by how they begin; all else has to be one.
KINDS = {
    "json": r"\{",
    "sse": r"(?:data|id|retry|event): |: ",
    "c": r"#include ",
    "sql": r"SELECT ",
    "yaml": r"[a-z_]+:(?: |$)",
    "formula": r"\w+ += ",
    "file": r"flight-\d{8}T\d{6}Z-\w+\.ndjson\.gz$",  # the name of one
    "output": r"[A-Z]\w* ",  # of a program: no command begins with a capital
}
FENCED = {"sh": "shell", "shell": "shell", "bash": "shell", "console": "shell", "json": "json",
          "yaml": "yaml", "ini": "ini", "c": "c", "sql": "sql", "text": "text"}


class Block:
    def __init__(self, page, line, kind, lines):
        self.page, self.line, self.kind, self.lines = page, line, kind, lines
        self.text = "\n".join(lines)
        self.place = f"{page.relative_to(SOURCE)}:{line}"

    def commands(self):
        """Its lines, with those that go on below put together, without remarks."""
        joined = re.sub(r"\\\n\s*", "", self.text)
        lines = (re.sub(r"(^|\s+)#\s.*$", "", line).strip() for line in joined.splitlines())
        return [line for line in lines if line]


def kind_of(lines):
    for kind, start in KINDS.items():
        if re.match(start, lines[0]):
            return kind
    return "shell"


def blocks(page):
    """Fenced blocks, and those that are indented by four after an empty line."""
    lines, at = page.read_text().splitlines(), 0
    while at < len(lines):
        fence = re.fullmatch(r"```(\w*)", lines[at])
        start = at + 1
        if fence:
            end = lines.index("```", start)
            assert fence[1] in FENCED, f"{page}:{start}: what is a block of '{fence[1]}'?"
            yield Block(page, start, FENCED[fence[1]], lines[start:end])
            at = end + 1
        elif lines[at].startswith("    ") and (at == 0 or not lines[at - 1]):
            end = at
            while end < len(lines) and (lines[end].startswith("    ") or not lines[end]):
                end += 1
            inside = [line[4:] for line in lines[at:end]]
            while not inside[-1]:
                inside.pop()
            # Blocks with an empty line between them are of a kind each.
            part = []
            for number, line in enumerate(inside + [""]):
                if line:
                    part.append(line)
                elif part and not inside[number + 1:number + 2][:1] == [""] and not (
                        number < len(inside) and inside[number + 1].startswith(" ")):
                    yield Block(page, start + number - len(part), kind_of(part), part)
                    part = []
            at = end
        else:
            at += 1


def prose(page):
    """The page without its blocks."""
    text = re.sub(r"^```\w*\n.*?^```$", "", page.read_text(), flags=re.S | re.M)
    return re.sub(r"^ {4}.*$", "", text, flags=re.M)


def anchors(page):
    """What its headings are linked to by."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
