"""What the rendered pages get, whoever rendered them: pictures as files, nothing from other hosts, a search, and a list for machines.

`finish` changes the pages of a rendered site in place. What they do in the browser is in tools/site/, which becomes their assets/.
"""
import base64, hashlib, html, io, json, re, shutil
from html.parser import HTMLParser
from pathlib import Path

from PIL import Image

SITE = Path(__file__).resolve().parent/"site"
PICTURE = re.compile(r"<img\b[^>]*>")
SOURCE = re.compile(r'\bsrc="([^"]+)"')
INLINE = re.compile(r"data:image/(png|jpeg|gif|webp);base64,(.*)", re.S)
CODE = re.compile(r"(<script\b.*?</script>|<pre\b.*?</pre>)", re.S)  # where a tag is only text
FOREIGN_IMPORT = re.compile(r"@import\s*(?:url\(\s*[\"']?https?://[^)]*\)|\"https?://[^\"]*\"|'https?://[^']*')[^;]*;")
EQUAL_WIDTHS = re.compile(r"<colgroup>\s*(?:<col\s[^>]*width:[^>]*>\s*)+</colgroup>")
SILENT = {"script", "style", "pre", "math", "nav", "button"}
HEADINGS = {"h1", "h2", "h3", "h4"}

# ---- pictures ----

def as_webp(image, data, suffix):
    "The smaller of a picture's own file and the same pixels as WebP: (bytes, suffix)"
    if suffix != ".png": return data, suffix
    packed = io.BytesIO()
    image.save(packed, "webp", lossless=True, method=4, quality=50)
    return (packed.getvalue(), ".webp") if len(packed.getvalue()) < len(data) else (data, suffix)


def store(data, suffix, folder):
    "Write a picture under a name made of its content; returns the name"
    name = hashlib.sha256(data).hexdigest()[:16] + suffix
    folder.mkdir(exist_ok=True)
    (folder/name).write_bytes(data)
    return name


def as_file(data, suffix, folder):
    "Store a picture, of a film its first frame too; returns the attributes of its tag"
    image = Image.open(io.BytesIO(data))
    width, height = image.size
    moving = ""
    if getattr(image, "is_animated", False):
        moving = f' data-moving="{folder.name}/{store(data, suffix, folder)}"'
        still = io.BytesIO()
        image.convert("RGB").save(still, "png")
        data, suffix = still.getvalue(), ".png"
    data, suffix = as_webp(Image.open(io.BytesIO(data)), data, suffix)
    return f'src="{folder.name}/{store(data, suffix, folder)}" width="{width}" height="{height}"{moving}'


def with_file(tag, page):
    "An <img> whose picture is a file, which waits until it is looked at, and knows its size before it is there"
    where = SOURCE.search(tag)
    if not where or 'loading="' in tag: return tag
    folder = page.parent/"images"
    inline = INLINE.fullmatch(where[1])
    file = page.parent/where[1]
    if inline: found = as_file(base64.b64decode(inline[2]), f".{inline[1]}", folder)
    elif file.is_file() and file.suffix in (".png", ".gif"): found = as_file(file.read_bytes(), file.suffix, folder)
    else: found = where[0]
    if re.search(r"\swidth=", tag): found = re.sub(r' (?:width|height)="\d+"', "", found)
    return tag.replace(where[0], f'{found} loading="lazy" decoding="async"')


def outside_code(page, change):
    parts = CODE.split(page)
    return "".join(part if i % 2 else change(part) for i, part in enumerate(parts))

# ---- the text of a page, for the search and for machines ----

class Sections(HTMLParser):
    "The main column of a page as (id, heading, text), one for each heading"
    def __init__(self):
        super().__init__()
        self.found = []
        self.inside = self.heading = False
        self.silent = 0
        self.id = ""

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "main": self.inside = True
        if tag in SILENT: self.silent += 1
        if tag == "section": self.id = attrs.get("id") or ""
        if tag not in HEADINGS or not self.inside: return
        self.heading = True
        self.found.append([attrs.get("id") or attrs.get("data-anchor-id") or self.id, "", ""])

    def handle_endtag(self, tag):
        if tag == "main": self.inside = False
        if tag in SILENT: self.silent -= 1
        if tag in HEADINGS: self.heading = False

    def handle_data(self, data):
        if self.inside and self.found and not self.silent: self.found[-1][1 if self.heading else 2] += data


def sections(page):
    "The sections of a page's HTML as [id, heading, text], in plain text"
    reader = Sections()
    reader.feed(page)
    return [[id, *(" ".join(text.split()) for text in texts)] for id, *texts in reader.found]


def description(page):
    found = re.search(r'<meta name="description" content="([^"]*)"', page)
    return html.unescape(found[1]) if found else ""


def search_index(texts, places):
    "The search's entries: [page, its title, place, heading, text, 1 for the documentation of a function]"
    for path, page in texts.items():
        names = places.get(Path(path).stem, ())
        (_, title, first), *rest = sections(page) or [("", "", "")]
        yield [path, title, "", "", first, 0]
        for id, heading, text in rest: yield [path, title, id, heading, text, int(id in names)]


def for_machines(config, texts):
    "llms.txt: what the site is, and each page with its line"
    website = config["website"]
    url = website["site-url"]
    lines = [f"# {website['title']}", "", f"> {website['description']}", "", "## Pages", ""]
    for path, page in texts.items():
        title = (sections(page) or [("", path, "")])[0][1]
        lines.append(f"- [{title}]({url}/{path}): {description(page)}")
    return "\n".join(lines) + "\n"

# ---- a page ----

def card(config, path, page):
    "What a link to the page shows elsewhere"
    title = html.escape((sections(page) or [("", "", "")])[0][1])
    url = config["website"]["site-url"]
    facts = {"og:title": title, "og:description": html.escape(description(page)), "og:type": "article",
             "og:url": f"{url}/{path}", "og:image": f"{url}/assets/card.jpg", "og:site_name": config["website"]["title"]}
    lines = [f'<meta property="{key}" content="{value}">' for key, value in facts.items()]
    return "\n".join([*lines, '<meta name="twitter:card" content="summary_large_image">'])


def finish_page(text, page, path, config):
    "The HTML of a rendered page, finished; `page` is its file and `path` where it lies in the site"
    home = "../" * path.count("/")
    scripts = ["site", *sorted(set(re.findall(r'<div data-tool="(\w+)"', text)))]
    text = outside_code(text, lambda part: PICTURE.sub(lambda m: with_file(m[0], page), EQUAL_WIDTHS.sub("", part)))
    tags = "\n".join(f'<script src="{home}assets/{name}.js" defer></script>' for name in scripts)
    head = f'{card(config, path, text)}\n<link rel="icon" href="{home}assets/icon.svg">\n{tags}\n</head>'
    text = text.replace("</head>", head, 1)
    text = re.sub(r"<body\b[^>]*>", r'\g<0><a class="skip-link" href="#quarto-document-content">Skip to the text</a>', text, count=1)
    text = text.replace('<nav class="navbar', '<nav aria-label="Site" class="navbar', 1)
    return text.replace('id="quarto-document-content"', 'id="quarto-document-content" tabindex="-1"', 1)


def finish(out, config, places):
    "Finish the site in `out`; `places` is page -> ids of the functions documented there"
    shutil.copytree(SITE, out/"assets", dirs_exist_ok=True)
    for css in out.rglob("*.css"):
        style = css.read_text(encoding="utf-8")
        if FOREIGN_IMPORT.search(style): css.write_text(FOREIGN_IMPORT.sub("", style), encoding="utf-8")
    files = {str(page.relative_to(out).as_posix()): page for page in sorted((out/"nbs").glob("*.html"))}
    texts = {path: finish_page(page.read_text(encoding="utf-8"), page, path, config) for path, page in files.items()}
    for path, text in texts.items(): files[path].write_text(text, encoding="utf-8")
    index = json.dumps(list(search_index(texts, places)), ensure_ascii=False)
    (out/"assets"/"search-index.js").write_text(f"const searchIndex = {index};\n", encoding="utf-8")
    (out/"llms.txt").write_text(for_machines(config, texts), encoding="utf-8")
