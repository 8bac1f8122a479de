#!/usr/bin/env python3
"""Holds what the documentation points at against what is there, without leaving the machine.

    .ci/links.py DOC CRATE    the pages of the crate CRATE, under DOC as rustdoc writes it, and the Markdown of this tree

- A link within the pages, or within the tree, has a file at its end, and an anchor in it.
- A reference in Markdown is defined, once, and used.
- A path in code (`examples/...`, `tests/...`) is there, and so is the target of a command (`cargo bench --bench deadline`).
- A link to elsewhere is `https`, and one to docs.rs has the form that docs.rs serves. Whether it answers is not asked: that needs the
  network, and another's server.
"""

import html.parser
import json
import pathlib
import re
import subprocess
import sys
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCS_RS = re.compile(
    r"https://docs\.rs/[\w-]+(/?$|/(\d[\w.+-]*|latest|\*)/?$|/(\d[\w.+-]*|latest|\*)/\w+/([\w/]+/)?"
    r"(index|(attr|constant|derive|enum|fn|macro|primitive|static|struct|trait|type|union)\.\w+)?(\.html)?(#[\w.-]+)?$)"
)
COMMAND = re.compile(r"cargo \w+(?: [^`\n|;&]*)? --(example|bench|test) ([\w-]+)")
CODE_PATH = re.compile(r"`((?:examples|tests|benches|layers)/[\w./-]+)`")
HOSTS_OF_EXAMPLES = re.compile(r"^(127\.0\.0\.1|localhost|\[::1\]|[\w.-]*example(\.com|\.org)?|[\w-]+|)(:\w+)?$")

bad = []


def complain(place, what):
    bad.append(f"{place}: {what}")


def external(place, url):
    parts = urllib.parse.urlsplit(url)
    if parts.scheme in ("mailto", "data", "javascript"):
        return
    if parts.scheme != "https" and not HOSTS_OF_EXAMPLES.match(parts.netloc):
        complain(place, f"not https: {url}")
    if parts.netloc == "docs.rs" and not DOCS_RS.match(url):
        complain(place, f"not a page of docs.rs: {url}")


# === the pages of rustdoc ===


class Page(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.links, self.anchors, self.foreign = [], set(), False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if attributes.get("id"):
            self.anchors.add(urllib.parse.unquote(attributes["id"]))
            # The last section: what other crates' traits do for all types, in those crates' words.
            self.foreign |= attributes["id"] == "blanket-implementations-list"
        if tag == "a" and attributes.get("name"):
            self.anchors.add(attributes["name"])
        for name in ("href", "src"):
            if attributes.get(name) and not self.foreign:
                self.links.append(attributes[name])

    def handle_endtag(self, tag):
        self.foreign &= tag != "main"


pages = {}


def page(path):
    if path not in pages:
        pages[path] = Page(path.read_text(encoding="utf-8"))
    return pages[path]


def rustdoc(doc, crate):
    files = sorted((doc / crate).rglob("*.html"))
    if not files:
        complain(doc / crate, "no pages: cargo doc first")
    links = 0
    for file in files:
        for link in page(file).links:
            links += 1
            parts = urllib.parse.urlsplit(link)
            place = file.relative_to(doc)
            if (parts.scheme or parts.netloc) and "::" not in link:
                external(place, link)
                continue
            if re.fullmatch(r"\w+(::\w+)+", link):
                # An item of another crate, which rustdoc has found (or it would not have passed), and docs.rs will link.
                continue
            to = (file.parent / urllib.parse.unquote(parts.path)).resolve() if parts.path else file
            if to.is_dir():
                to /= "index.html"
            if not to.is_file():
                complain(place, f"no such page: {link}")
                continue
            anchor = urllib.parse.unquote(parts.fragment)
            if not anchor or to.suffix != ".html":
                continue
            if re.search(r"/src/.*\.rs\.html$", str(to)):
                # `#12-20` is a range of lines, each of which has an anchor.
                anchor = anchor.split("-")[0]
            if anchor not in page(to).anchors:
                complain(place, f"no such anchor: {link}")
    return len(files), links


# === the Markdown of the tree ===


def prose(text):
    """The text without blocks of code, its lines where they were."""
    return re.sub(r"^(```|~~~).*?^\1", lambda block: "\n" * block.group().count("\n"), text, flags=re.S | re.M)


def slugs(text):
    """The anchors of its headings, as GitHub makes them."""
    seen, found = {}, set()
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", prose(text), flags=re.M):
        heading = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        count = seen[slug] = seen.get(slug, -1) + 1
        found.add(f"{slug}-{count}" if count else slug)
    return found | set(re.findall(r"<a (?:id|name)=\"([^\"]+)\"", text))


def markdown(file, included):
    text = file.read_text(encoding="utf-8")
    body = re.sub(r"`[^`\n]*`", "``", prose(text))
    name = file.relative_to(ROOT)
    links = re.findall(r"\]\(<?([^)\s>]+)>?(?: \"[^\"]*\")?\)", body)
    defined = re.findall(r"^ {0,3}\[([^\]]+)\]: *<?(\S+?)>?$", body, flags=re.M)
    labels = [label.lower() for label, _ in defined]
    for label in {label for label in labels if labels.count(label) > 1}:
        complain(name, f"defined twice: [{label}]")
    without = re.sub(r"^ {0,3}\[[^\]]+\]:.*$", "", body, flags=re.M)
    used = {label.lower() for label in re.findall(r"\]\[([^\]]+)\]", without)}
    alone = {label.lower() for label in re.findall(r"\[([^\]]+)\](?![(\[:])", without)}
    for label in sorted(used - set(labels)):
        if not included:
            complain(name, f"not defined: [{label}]")
    for label in sorted(set(labels) - used - alone):
        complain(name, f"defined, and not used: [{label}]")
    for link in links + [url for _, url in defined]:
        parts = urllib.parse.urlsplit(link)
        if parts.scheme or parts.netloc:
            external(name, link)
        elif not included:
            to = (file.parent / urllib.parse.unquote(parts.path)).resolve() if parts.path else file
            if not to.exists():
                complain(name, f"no such file: {link}")
            elif parts.fragment and to.suffix == ".md" and parts.fragment not in slugs(to.read_text(encoding="utf-8")):
                complain(name, f"no such anchor: {link}")
    return len(links) + len(defined)


# === what is named in code ===


def named(files):
    """Paths and targets: in Markdown everywhere, in Rust in comments."""
    metadata = subprocess.run(
        ["cargo", "metadata", "--no-deps", "--offline", "--format-version", "1"], cwd=ROOT, check=True, capture_output=True
    )
    targets = {
        (kind, target["name"])
        for package in json.loads(metadata.stdout)["packages"]
        for target in package["targets"]
        for kind in target["kind"]
    }
    count = 0
    for file in files:
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            if file.suffix == ".rs" and not line.lstrip().startswith("//"):
                continue
            place = f"{file.relative_to(ROOT)}:{number}"
            for kind, target in COMMAND.findall(line):
                count += 1
                if (kind, target) not in targets:
                    complain(place, f"no such {kind}: {target}")
            for path in CODE_PATH.findall(line):
                count += 1
                if not (ROOT / path).exists():
                    complain(place, f"no such path: {path}")
    return count


def main():
    doc, crate = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2]
    html_pages, html_links = rustdoc(doc, crate)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "*.md", "*.rs"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.split("\0")
    files = [ROOT / name for name in sorted(listed) if name and (ROOT / name).is_file()]
    # What stands in `layers` is included in rustdoc's pages, where its links are rustdoc's to resolve.
    texts = [file for file in files if file.suffix == ".md"]
    links = sum(markdown(file, file.is_relative_to(ROOT / "layers")) for file in texts)
    names = named(files)
    for line in sorted(set(bad)):
        print(line, file=sys.stderr)
    if bad:
        sys.exit(1)
    print(f"{html_links} links on {html_pages} pages, {links} in {len(texts)} texts, {names} paths and targets: each leads somewhere")


if __name__ == "__main__":
    main()
