# SPDX-License-Identifier: BSD-2-Clause
"""PDF documents for tests, written object by object: what the server says about a document is
compared with what stands in it."""

import pathlib
import subprocess
import tempfile
import zlib

HELVETICA = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"
COURIER = b"<< /Type /Font /Subtype /Type1 /BaseFont /Courier /Encoding /WinAnsiEncoding >>"


def text_string(text):
    """As PDF has text that need not be ASCII: UTF-16 in hexadecimal."""
    return b"<FEFF" + text.encode("utf-16-be").hex().encode() + b">"


class Writer:
    """Objects are added or reserved, and get their numbers; `file` puts them together."""

    def __init__(self, version="1.7"):
        self.version = version
        self.objects = []

    def reserve(self):
        self.objects.append(b"null")
        return len(self.objects)

    def add(self, body, number=None):
        number = number or self.reserve()
        self.objects[number - 1] = body.encode("latin-1") if isinstance(body, str) else body
        return number

    def stream(self, data, entries=b"", number=None):
        return self.add(b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(data), entries, data), number)

    def file(self, root, trailer=b""):
        out = bytearray(b"%%PDF-%s\n%%\xe2\xe3\xcf\xd3\n" % self.version.encode())
        offsets = []
        for i, body in enumerate(self.objects, 1):
            offsets.append(len(out))
            out += b"%d 0 obj\n%s\nendobj\n" % (i, body)
        start = len(out)
        out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(offsets) + 1)
        out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
        return bytes(out) + b"trailer\n<< /Size %d /Root %d 0 R %s >>\nstartxref\n%d\n%%%%EOF\n" % (
            len(offsets) + 1, root, trailer, start)  # fmt: skip


def escaped(text):
    return text.encode("cp1252").replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)")


def shown(lines, size=12):
    """A content stream of (x, y, text), in points from the bottom left."""
    parts = [b"1 0 0 1 %g %g Tm (%s) Tj" % (x, y, escaped(text)) for x, y, text in lines]
    return b"BT /F1 %g Tf\n%s\nET" % (size, b"\n".join(parts))


def pages_of(writer, contents, entries=b"", size=(612, 792), font=HELVETICA):
    """Add pages with these content streams. The numbers of the tree's root and of the pages."""
    tree, font = writer.reserve(), writer.add(font)
    numbers = []
    for i, content in enumerate(contents):
        more = entries[i] if isinstance(entries, list) else entries
        stream = writer.stream(content)
        numbers.append(writer.add(b"<< /Type /Page /Parent %d 0 R /MediaBox [0 0 %g %g] /Contents %d 0 R"
                                  b" /Resources << /Font << /F1 %d 0 R >> >> %s >>" % (tree, *size, stream, font, more)))  # fmt: skip
    kids = b" ".join(b"%d 0 R" % number for number in numbers)
    writer.add(b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, len(numbers)), tree)
    return tree, numbers


def document(*texts, version="1.7", catalogue=b"", info=None, font=HELVETICA, **of_pages):
    """A page for each text, whose lines stand under each other."""
    writer = Writer(version)
    contents = [shown([(72, 720 - 14 * i, line) for i, line in enumerate(text.split("\n"))]) for text in texts]
    tree, _ = pages_of(writer, contents, font=font, **of_pages)
    trailer = b"/Info %d 0 R" % writer.add(info) if info else b""
    return writer.file(writer.add(b"<< /Type /Catalog /Pages %d 0 R %s >>" % (tree, catalogue)), trailer)


def rich():
    """Metadata, an outline of two levels, an attachment, labels, a form, tags; three pages."""
    w = Writer("1.6")
    tree, pages = pages_of(w, [shown([(72, 700, f"Page {n}")]) for n in (1, 2, 3)],
                           [b"", b"/Rotate 90", b"/CropBox [10 20 310 420]"])  # fmt: skip
    info = w.add(b"<< /Title %s /Author (A. Author) /Subject (Tests) /Keywords (one, two) /Creator (by hand) /Producer (tests)"
                 b" /CreationDate (D:20240229120000+01'00') /ModDate (D:20240301000000Z) >>" % text_string("Größe — 大きさ"))  # fmt: skip
    outline, first, second, third = (w.reserve() for _ in range(4))
    w.add(b"<< /Type /Outlines /First %d 0 R /Last %d 0 R /Count 3 >>" % (first, third), outline)
    w.add(b"<< /Title (One) /Parent %d 0 R /Next %d 0 R /First %d 0 R /Last %d 0 R /Count 1 /Dest [%d 0 R /Fit] >>"
          % (outline, third, second, second, pages[0]), first)  # fmt: skip
    w.add(b"<< /Title %s /Parent %d 0 R /Dest (two) >>" % (text_string("Zwei"), first), second)
    w.add(b"<< /Title (Web) /Parent %d 0 R /Prev %d 0 R /A << /S /URI /URI (https://example.org/) >> >>" % (outline, first), third)
    file = w.stream(b"a,b\n1,2\n", b"/Type /EmbeddedFile /Params << /Size 8 /ModDate (D:20240301000000Z) >>")
    spec = w.add(b"<< /Type /Filespec /F (table.csv) /UF (table.csv) /Desc (Figures) /EF << /F %d 0 R >> >>" % file)
    fields = [
        w.add(b"<< /FT /Tx /T (name) /TU (Your name) /V (Ada) /MaxLen 40 /Type /Annot /Subtype /Widget /Rect [50 50 200 70] /P %d 0 R >>" % pages[0]),
        w.add(b"<< /FT /Btn /T (agree) /V /Yes /AS /Yes /Type /Annot /Subtype /Widget /Rect [50 80 60 90] /P %d 0 R"
              b" /AP << /N << /Yes %d 0 R /Off %d 0 R >> >> >>" % (pages[0], *[w.stream(b"", b"/Subtype /Form /BBox [0 0 9 9]")] * 2)),
        w.add(b"<< /FT /Ch /Ff 131073 /T (colour) /V (red) /Opt [(red) (green)] /Type /Annot /Subtype /Widget"
              b" /Rect [50 100 200 120] /P %d 0 R >>" % pages[0]),
    ]  # fmt: skip
    names = b" ".join(b"%d 0 R" % field for field in fields)
    w.objects[pages[0] - 1] = w.objects[pages[0] - 1].replace(b" >> >>  >>", b" >> >> /Annots [%s] >>" % names)
    xmp = w.stream(b'<x:xmpmeta xmlns:x="adobe:ns:meta/"></x:xmpmeta>', b"/Type /Metadata /Subtype /XML")
    root = w.add(b"<< /Type /Catalog /Pages %d 0 R /Outlines %d 0 R /Metadata %d 0 R /Lang (de-DE) /MarkInfo << /Marked true >>"
                 b" /Names << /EmbeddedFiles << /Names [(table.csv) %d 0 R] >> /Dests << /Names [(two) [%d 0 R /Fit]] >> >>"
                 b" /PageLabels << /Nums [0 << /S /r >> 1 << /S /D >>] >>"
                 b" /OpenAction << /S /JavaScript /JS (app.alert\\(1\\)) >>"
                 b" /AcroForm << /Fields [%s] >> >>" % (tree, outline, xmp, spec, pages[1], names))  # fmt: skip
    return w.file(root, b"/Info %d 0 R" % info)


def qpdf(data, *words):
    """What `qpdf WORD … IN OUT` makes of a document."""
    with tempfile.TemporaryDirectory() as folder:
        given, made = pathlib.Path(folder, "given.pdf"), pathlib.Path(folder, "made.pdf")
        given.write_bytes(data)
        done = subprocess.run(["qpdf", *words, given, made], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        assert done.returncode in (0, 3), done.stdout.decode()  # 3: with warnings
        return made.read_bytes()


def pdftotext(data, *words):
    """What the command makes of what is shown of the pages."""
    done = subprocess.run(["pdftotext", "-cropbox", *words, "-", "-"], input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def flate_bomb(layers=2, size=64 << 20):
    """Zeros, compressed again and again."""
    data = bytes(size)
    for _ in range(layers):
        data = zlib.compress(data, 9)
    return data
