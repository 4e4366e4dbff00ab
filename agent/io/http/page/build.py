#!/usr/bin/python3
"""Makes one file of the page: build.py OUT DYGRAPHS, OUT.html and OUT.csp.

DYGRAPHS is the folder of Debian's libjs-dygraphs. The policy names the digest of each script and
style sheet, so a browser runs these and nothing that got into the page in another way.
"""
import base64
import hashlib
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent


def digest(text):
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


def main():
    out, dygraphs = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    # Its source map is another file, and would be asked for.
    library = re.sub(r"\n?//# sourceMappingURL=\S+\s*$", "\n", (dygraphs / "dygraph.min.js").read_text())
    scripts = [library, (HERE / "page.js").read_text()]
    style = (HERE / "page.css").read_text()
    for text in [*scripts, style]:
        if re.search(r"</(?:script|style)|<!--", text, re.I):
            sys.exit("build.py: a script or style holds a tag that would end it")
    html = (HERE / "page.html").read_text()
    html = html.replace("<!-- style -->", f"<style>{style}</style>")
    html = html.replace("<!-- scripts -->", "".join(f"<script>{s}</script>" for s in scripts))
    policy = ("default-src 'none'; script-src " + " ".join(map(digest, scripts)) +
              f"; style-src {digest(style)}; connect-src 'self'; img-src data:; base-uri 'none'; "
              "form-action 'none'; frame-ancestors 'none'")
    out.with_suffix(".html").write_text(html)
    out.with_suffix(".csp").write_text(policy)


if __name__ == "__main__":
    main()
