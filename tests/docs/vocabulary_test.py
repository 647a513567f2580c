#!/usr/bin/env python3
"""usage: vocabulary_test.py SOURCES
       vocabulary_test.py SOURCES --comments N SEED

Checks the language of the sources and the documents:

- No identifier, comment, file name, help text, manual page or document, and not the wire interface,
  contains a word from a column "not" of common/GLOSSARY.md.
- No help text, manual page or document, and not the wire interface, contains a phrase of PHRASES.
- Fewer than 3 % of the comments begin with a word of OPENERS.
- The help of each option begins with a verb of VERBS.
- No line of a document is longer than 120 columns. Tables, code and the targets of links do not
  count.

First checks that each of these checks can fail. With --comments, only prints N random comments,
each with its file and line. SEED is the seed of the random generator.
"""

from __future__ import annotations

import ast
import fnmatch
import io
import random
import re
import sys
import tempfile
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

GLOSSARY = "common/GLOSSARY.md"
WIRE = "common/protocol/io.evfdd.varlink"
FOLDERS = (".ci", ".github", "client", "common", "config", "daemon", "systemd", "tests")
CXX = (".c", ".cpp", ".h", ".hpp")
MAX_COLUMNS = 120

# Maps each forbidden phrase, as a regular expression, to the words to write instead.  A space in
# the expression also matches the end of a line.
PHRASES = {
    r"\b[Ww]ho(?:m?ever)\b": "the role: caller, waiter, owner, subscriber, peer",
    r"(?:^|(?<=[.;:|*] ))Who \w+[^.?;|*]*(?:[.;|]|$)": "the role: caller, waiter, owner, subscriber, peer",
    r"\b(?:for|of|to|by|from|with) who\b": "the role: caller, waiter, owner, subscriber, peer",
    r"\bwhat is there\b": "existing",
    r"(?<!what )\b(?:is|are|was|were) there\b(?! (?:a|an|any|no|still)\b)": "exists",
    r"\b(?:is|are|was|were) gone\b": "does not exist any more, has exited, has ended",
    r"\banew\b": "again",
    r"\bfor ever\b": "indefinitely",
    r"\bin vain\b": "timed out",
    r"\b(?:is|are|was|were|be|been|being) told\b": "is reported to, is notified",
    r"\bone's own\b": "private",
    r"\bso (?:many|long|often) (?!as\b)": "a number: N, this long, this often",
    r"(?<![Tt]here )\bis no (?!longer|more|less|need|such)\w+": "is not a valid ...",
    r"\bfollows (?:a|the|this|that) (?:name|pulse|timer|event)\b": "is subscribed to",
    r"\b(?:is|are|was|be|been) let go\b|\blets? go of\b": "is disconnected, releases",
    r"\bwaits? takes?\b": "a wait consumes",
    r"\bto be had\b": "available",
    r"\b(?:is|be) no matter\b": "does not matter",
    r"\bmakes that\b": "ensures that",
}

OPENERS = ("what", "who", "whose", "whom", "whoever", "of", "or", "as")
MAX_SHARE_OF_OPENERS = 0.03

VERBS = set(
    """
    Accept Act Add Apply Arm Ask Attach Base Begin Bind Call Cancel Change Check Choose Clear Close Colour Combine
    Connect Consume Continue Count Create Delete Detach Disarm Display End Exit Expire Expect Fail Filter Find
    Follow Force Format Give Group Hold Ignore Include Keep Leave Let Limit List Listen Log Make Match Measure
    Merge Monitor Name Open Order Output Pass Pause Permit Print Pulse Put Read Refuse Relay Remain Repeat Replace
    Report Require Reset Restart Retry Return Run Select Send Set Show Skip Sort Start State Stop Store Succeed
    Supervise Take Terminate Test Treat Try Turn Use Verify Wait Wake Watch Write
    """.split()
)


@dataclass
class Vocabulary:
    # The words that are forbidden in every text, and as a part of every name.
    words: set[str] = field(default_factory=set)
    # The names and options that are forbidden as a whole, but not as a part of another name.
    names: set[str] = field(default_factory=set)
    # Each exception is a forbidden word, and a glob pattern of the names or files that are allowed
    # to contain the word.
    exceptions: list[tuple[str, str]] = field(default_factory=list)

    def is_allowed(self, word: str, *places: str) -> bool:
        return any(
            word == excepted and any(fnmatch.fnmatchcase(place, glob) for place in places)
            for excepted, glob in self.exceptions
        )


@dataclass
class Comment:
    path: str
    line: int
    text: str


@dataclass
class Source:
    """A file of the project: its identifiers, its comments and its string literals."""

    path: str
    # Maps each identifier to the number of the first line that contains the identifier.
    identifiers: dict[str, int] = field(default_factory=dict)
    comments: list[Comment] = field(default_factory=list)
    literals: list[tuple[int, str]] = field(default_factory=list)


def rows_of(text: str) -> Iterator[list[str]]:
    for line in text.splitlines():
        if line.startswith("|") and not line.startswith("| ---") and not line.startswith("|---"):
            yield [cell.strip() for cell in line.strip().strip("|").split("|")]


def vocabulary_of(glossary: str) -> Vocabulary:
    vocabulary = Vocabulary()
    heading: list[str] = []
    for row in rows_of(glossary):
        if row[0] in ("term", "word"):
            heading = row
        elif heading and heading[-1] == "not":
            # Each entry in italics is a single word in lower case.
            vocabulary.words |= set(re.findall(r"\*([a-z]+)\*", row[-1]))
            vocabulary.names |= set(re.findall(r"`([^`]+)`", row[-1]))
        elif heading and heading[0] == "word":
            vocabulary.exceptions += [(row[0], glob) for glob in re.findall(r"`([^`]+)`", row[1])]
    return vocabulary


def words_of(identifier: str) -> list[str]:
    """Returns the words of an identifier or a file name.

    A word ends where the case changes and at each character that is not a letter.
    """
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", identifier)
    return [part.lower() for part in parts]


def split_cxx(path: str, text: str) -> Source:
    source = Source(path)
    token = re.compile(
        r'(?P<comment>//[^\n]*|/\*.*?\*/)'
        r'|(?P<raw>R"(?P<mark>[^(\s]*)\((?P<inner>.*?)\)(?P=mark)")'
        r'|(?P<string>"(?:\\.|[^"\\\n])*")'
        r"|(?P<number>\b\d[\w.]*(?:'\w+)*)"
        r"|(?P<char>'(?:\\.|[^'\\\n])+')"
        r'|(?P<include>^[ \t]*\#[ \t]*include[^\n]*)'
        r'|(?P<name>[A-Za-z_]\w*)',
        re.DOTALL | re.MULTILINE,
    )
    last_end, last_column = -1, -1
    line, position = 1, 0
    for found in token.finditer(text):
        line += text.count("\n", position, found.start())
        position = found.start()
        if found["name"]:
            source.identifiers.setdefault(found["name"], line)
        elif found["string"]:
            source.literals.append((line, found["string"][1:-1]))
        elif found["raw"]:
            source.literals.append((line, found["inner"]))
        elif found["comment"]:
            column = found.start() - (text.rfind("\n", 0, found.start()) + 1)
            said = found["comment"]
            said = said[2:-2] if said.startswith("/*") else said[2:]
            said = " ".join(part.strip().lstrip("*/ ") for part in said.strip("*/<! ").split("\n")).strip()
            between = text[last_end : found.start()] if last_end >= 0 else "x"
            if source.comments and not between.strip() and between.count("\n") == 1 and column == last_column:
                source.comments[-1].text += " " + said
            elif said and not said.startswith("namespace"):
                source.comments.append(Comment(path, line, said))
            last_end, last_column = found.end(), column
    return source


def split_python(path: str, text: str) -> Source:
    source = Source(path)
    last_row, last_column = -1, -1
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        row, column = token.start
        if token.type == tokenize.NAME:
            source.identifiers.setdefault(token.string, row)
        elif token.type == tokenize.COMMENT and not token.string.startswith("#!"):
            said = token.string.lstrip("# ").strip()
            if (row, column) == (last_row + 1, last_column):
                source.comments[-1].text += " " + said
            elif said:
                source.comments.append(Comment(path, row, said))
            last_row, last_column = row, column
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            docstring = ast.get_docstring(node)
            if docstring:
                source.comments.append(Comment(path, node.body[0].lineno, " ".join(docstring.split())))
    return source


def split_script(path: str, text: str) -> Source:
    """Splits a shell script, a CMake file or another file in which a comment begins with #."""
    source = Source(path)
    was_comment = False
    for number, line in enumerate(text.splitlines(), 1):
        code, mark, said = re.match(r"((?:[^#]|(?<=\S)#)*)(#*)(.*)", line).groups()  # type: ignore[union-attr]
        for name in re.findall(r"[A-Za-z_]\w*", code):
            source.identifiers.setdefault(name, number)
        said = said.strip()
        if mark and said and not said.startswith("!"):
            if was_comment and not code.strip():
                source.comments[-1].text += " " + said
            else:
                source.comments.append(Comment(path, number, said))
        was_comment = bool(mark and said and not said.startswith("!") and not code.strip())
    return source


def is_script(path: Path) -> bool:
    if path.suffix in (".sh", ".bash", ".fish", ".cmake") or path.name in ("CMakeLists.txt", "bootstrap", "_evfdctl"):
        return True
    with path.open("rb") as file:
        return file.read(2) == b"#!" and path.suffix != ".py"


def files_below(sources: Path) -> Iterator[Path]:
    """Yields the project's files, except for caches and the inputs that a fuzzer found."""
    for path in sources.iterdir():
        if path.is_file() and path.name != ".git":
            yield path
    for folder in FOLDERS:
        for path in sorted((sources / folder).rglob("*")):
            if path.is_file() and not {"__pycache__", "learnt", ".mypy_cache", ".pytest_cache"} & set(path.parts):
                yield path


@dataclass
class Tree:
    sources: list[Source] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    documents: dict[str, str] = field(default_factory=dict)
    manual: dict[str, str] = field(default_factory=dict)
    wire: str = ""
    glossary: str = ""

    def helps(self) -> list[Source]:
        return [
            source
            for source in self.sources
            if source.path.startswith("client/evfdctl/") or source.path == "daemon/options.cpp"
        ]


def read(sources: Path) -> Tree:
    tree = Tree()
    for path in files_below(sources):
        name = str(path.relative_to(sources))
        tree.paths.append(name)
        if "corpus" in path.parts or name == "LICENSE":
            continue
        if name == GLOSSARY:
            tree.glossary = path.read_text()
        elif path.suffix == ".md":
            tree.documents[name] = path.read_text()
        elif path.suffix == ".scd":
            tree.manual[name] = path.read_text()
        elif name == WIRE:
            tree.wire = path.read_text()
        elif path.suffix in CXX:
            tree.sources.append(split_cxx(name, path.read_text()))
        elif path.suffix == ".py":
            tree.sources.append(split_python(name, path.read_text()))
        elif is_script(path):
            tree.sources.append(split_script(name, path.read_text()))
    return tree


def gone(word: str, vocabulary: Vocabulary) -> str:
    """Returns `word` if it is forbidden, or the forbidden word of which `word` is the plural.

    Returns "" for an allowed word.
    """
    if word in vocabulary.words:
        return word
    return word[:-1] if word.endswith("s") and word[:-1] in vocabulary.words else ""


def gone_in_name(name: str, path: str, vocabulary: Vocabulary) -> list[str]:
    found = [word for word in words_of(name) if gone(word, vocabulary)]
    if name in vocabulary.names:
        found.append(name)
    return [word for word in found if not vocabulary.is_allowed(gone(word, vocabulary) or word, name, path)]


def gone_in_text(text: str, path: str, vocabulary: Vocabulary) -> Iterator[tuple[int, str]]:
    options = {name for name in vocabulary.names if name.startswith("--")}
    for number, line in enumerate(text.splitlines(), 1):
        # In scdoc(5) a backslash escapes an underscore.
        for word in re.findall(r"[A-Za-z_][\w-]*", line.replace("\\_", "_")):
            for part in words_of(word):
                if gone(part, vocabulary) and not vocabulary.is_allowed(gone(part, vocabulary), word, path):
                    yield number, part
        for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*", line):
            if option in options and not vocabulary.is_allowed(option, path):
                yield number, option


def check_words(tree: Tree, vocabulary: Vocabulary) -> list[str]:
    errors = []
    for path in tree.paths:
        stem = Path(path).name.partition(".")[0]
        errors += [f"{path}: the file name has '{word}'" for word in gone_in_name(stem, path, vocabulary)]
    for source in tree.sources:
        if source.path == "tests/docs/vocabulary_test.py":
            continue
        for name, line in source.identifiers.items():
            for word in gone_in_name(name, source.path, vocabulary):
                errors.append(f"{source.path}:{line}: {name} has '{word}'")
        for comment in source.comments:
            for _, word in gone_in_text(comment.text, source.path, vocabulary):
                errors.append(f"{source.path}:{comment.line}: the comment has '{word}'")
    for source in tree.helps():
        for line, text in source.literals:
            for _, word in gone_in_text(text, source.path, vocabulary):
                errors.append(f"{source.path}:{line}: the text has '{word}'")
    for path, text in [*tree.documents.items(), *tree.manual.items(), (WIRE, tree.wire)]:
        errors += [f"{path}:{line}: '{word}'" for line, word in gone_in_text(text, path, vocabulary)]
    return errors


def paragraphs_of(text: str) -> Iterator[list[tuple[int, str]]]:
    """Yields the lines, with their numbers, of each paragraph, list item, heading and table row."""
    lines: list[tuple[int, str]] = []
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        # In the wire interface, a line that begins with "# " is a comment and not a heading.
        is_heading = line.startswith("#") and not line.startswith("# ")
        if lines and (not line.strip("#") or is_heading or line.startswith(("- ", "|", "*"))):
            yield lines
            lines = []
        if line:
            lines.append((number, line.removeprefix("# ").removeprefix("- ")))
    if lines:
        yield lines


def phrases_in(text: str) -> Iterator[tuple[int, str, str]]:
    for lines in paragraphs_of(text):
        joined = " ".join(line for _, line in lines)
        for phrase, instead in PHRASES.items():
            for found in re.finditer(phrase, joined):
                ends, end = [], -1
                for number, line in lines:
                    end += len(line) + 1
                    ends.append((end, number))
                yield next(number for end, number in ends if found.start() < end), found[0].strip(), instead


def help_texts(source: Source) -> Iterator[tuple[int, str]]:
    """Yields each text in the string literals of a file, with the number of its first line.

    String literals in consecutive lines are one text. A literal that begins with a capital letter
    begins another text.
    """
    last, begin, text = -2, 0, ""
    for line, literal in source.literals:
        if line - last > 1 or literal[:1].isupper():
            if text:
                yield begin, text
            begin, text = line, ""
        text += literal
        last = line
    if text:
        yield begin, text


def check_phrases(tree: Tree) -> list[str]:
    errors = []
    texts = [(path, 0, text) for path, text in [*tree.documents.items(), *tree.manual.items(), (WIRE, tree.wire)]]
    for source in tree.helps():
        texts += [(source.path, line - 1, text) for line, text in help_texts(source)]
    for path, offset, text in texts:
        for line, phrase, instead in phrases_in(text):
            errors.append(f"{path}:{offset + line}: '{phrase}': write {instead}")
    return errors


def comments_of(tree: Tree) -> list[Comment]:
    return [comment for source in tree.sources for comment in source.comments]


def check_openers(tree: Tree) -> list[str]:
    comments = comments_of(tree)
    wrong = [comment for comment in comments if comment.text.partition(" ")[0].lower().strip(",:") in OPENERS]
    share = len(wrong) / max(1, len(comments))
    if share < MAX_SHARE_OF_OPENERS:
        return []
    return [f"{one.path}:{one.line}: a comment begins so: {one.text[:60]}" for one in wrong] + [
        f"{100 * share:.1f} % of {len(comments)} comments begin so; {100 * MAX_SHARE_OF_OPENERS:.0f} % are too many"
    ]


def options_of(text: str) -> Iterator[tuple[int, str, str]]:
    """Yields the line, name and help of each option that C++ code adds to a command line."""
    for call in re.finditer(r"\badd_(?:option|flag)(?:_function)?(?:<[^>]*>)?\(", text):
        depth, end, arguments, begin = 1, call.end(), [], call.end()
        while depth and end < len(text):
            literal = re.compile(r'"(?:\\.|[^"\\])*"').match(text, end)
            if literal:
                end = literal.end()
                continue
            depth += {"(": 1, "{": 1, "[": 1, ")": -1, "}": -1, "]": -1}.get(text[end], 0)
            if (text[end] == "," and depth == 1) or depth == 0:
                arguments.append(text[begin:end])
                begin = end + 1
            end += 1
        names = re.findall(r'"([^"]*)"', arguments[0])
        if not names or "--" not in names[0]:
            continue
        literals = re.findall(r'"((?:\\.|[^"\\])*)"', ",".join(arguments[2:]))
        yield text.count("\n", 0, call.start()) + 1, names[0], "".join(literals)


def check_verbs(texts: dict[str, str]) -> list[str]:
    errors = []
    for path, text in texts.items():
        for line, option, said in options_of(text):
            if said.partition(" ")[0].rstrip(",:;") not in VERBS:
                errors.append(f"{path}:{line}: the help of {option} does not begin with a verb: {said}")
    return errors


def check_columns(documents: dict[str, str]) -> list[str]:
    errors = []
    for path, text in documents.items():
        is_code = False
        for number, line in enumerate(text.splitlines(), 1):
            is_code ^= line.startswith("```")
            shown = re.sub(r"\]\([^)]*\)", "]", line)
            if len(shown) > MAX_COLUMNS and not is_code and not line.startswith(("|", "    ", "[")):
                errors.append(f"{path}:{number}: {len(shown)} columns, and {MAX_COLUMNS} is the limit")
    return errors


def check_all(sources: Path) -> list[str]:
    tree = read(sources)
    vocabulary = vocabulary_of(tree.glossary)
    helps = {source.path: (sources / source.path).read_text() for source in tree.helps()}
    documents = {**tree.documents, GLOSSARY: tree.glossary}
    return [
        *check_words(tree, vocabulary),
        *check_phrases(tree),
        *check_openers(tree),
        *check_verbs({path: text for path, text in helps.items() if path.endswith(CXX)}),
        *check_columns(documents),
    ]


# WRONG has files with errors. EXPECTED has the beginnings of the lines that the checks must report
# for these files.

WRONG = {
    GLOSSARY: "| term | meaning | the field has it from | not |\n|---|---|---|---|\n"
    "| state store | | | *vault*, *deed*, `Line` |\n\n| word | where | why |\n|---|---|---|\n| deed | `deed_ok` | |\n",
    "daemon/vault_file.h": "// Of the file.\nint deeds_;  // A good comment.\nclass Line {};\nint deed_ok; // It is the vault.\n"
    'const char* said = "// vault";\n',
    "daemon/options.cpp": 'app.add_option("--socket", path, "Where it listens")->x();\napp.add_flag("--good", f,'
    ' "Print " "this");\n',
    "client/evfdctl/main.cpp": 'say("it waits in vain for the vault");\n',
    "common/protocol/io.evfdd.varlink": "# It is told\n# of it.\nmethod X() -> (vault: bool)\n",
    "client/x.py": '"""Who does it."""\nvault = 1\n',
    "tests/x_test.sh": "#!/bin/sh\n# As it is.\n# More.\nslip=$VAULT\n",
    "README.md": "Whoever waits.\n\n```\n" + "x" * 130 + "\n```\n| " + "x" * 130 + " |\n" + "word " * 30 + "\n",
    "daemon/evfdd.8.scd": "It is anew.\n",
}

EXPECTED = [
    "daemon/vault_file.h: the file name has 'vault'",
    "client/x.py:2: vault has 'vault'",
    "daemon/vault_file.h:2: deeds_ has 'deeds'",
    "daemon/vault_file.h:3: Line has 'Line'",
    "tests/x_test.sh:4: VAULT has 'vault'",
    "daemon/vault_file.h:4: the comment has 'vault'",
    "client/evfdctl/main.cpp:1: the text has 'vault'",
    "common/protocol/io.evfdd.varlink:3: 'vault'",
    "README.md:1: 'Whoever'",
    "daemon/evfdd.8.scd:1: 'anew'",
    "common/protocol/io.evfdd.varlink:1: 'is told'",
    "client/evfdctl/main.cpp:1: 'in vain'",
    "client/x.py:1: a comment begins so: Who does it.",
    "daemon/vault_file.h:1: a comment begins so: Of the file.",
    "tests/x_test.sh:2: a comment begins so: As it is. More.",
    "60.0 % of 5 comments begin so",
    "daemon/options.cpp:1: the help of --socket does not begin with a verb: Where it listens",
    "README.md:7: 150 columns",
]


def check_that_it_can_fail() -> None:
    """Exits with an error message unless the checks report exactly the errors in WRONG."""
    with tempfile.TemporaryDirectory() as name:
        for path, text in WRONG.items():
            (Path(name) / path).parent.mkdir(parents=True, exist_ok=True)
            (Path(name) / path).write_text(text)
        found = check_all(Path(name))
    missing = [expected for expected in EXPECTED if not any(line.startswith(expected) for line in found)]
    superfluous = [line for line in found if not line.startswith(tuple(EXPECTED))]
    if missing or superfluous:
        sys.exit(f"vocabulary_test does not find {missing}, or finds too much: {superfluous}")


def print_comments(sources: Path, count: int, seed: int) -> None:
    comments = comments_of(read(sources))
    for comment in random.Random(seed).sample(comments, min(count, len(comments))):
        print(f"{comment.path}:{comment.line}: {comment.text}")


def main() -> None:
    sources = Path(sys.argv[1])
    if not (sources / GLOSSARY).is_file():
        sys.exit(f"{sources} is not the directory of the sources")
    if sys.argv[2:3] == ["--comments"]:
        print_comments(sources, int(sys.argv[3]), int(sys.argv[4]))
        return
    check_that_it_can_fail()
    errors = check_all(sources)
    for line in errors:
        print(line)
    if errors:
        sys.exit(f"{len(errors)} errors. The words are in {GLOSSARY}, the phrases and verbs in {sys.argv[0]}.")


if __name__ == "__main__":
    main()
