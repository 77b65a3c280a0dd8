# SPDX-License-Identifier: Apache-2.0
"""Raw HTTP/1 connections and what a strict server may do with them.

A case is what a client sends, in pieces, and what is accepted for it: the statuses of each
answer in turn, and whether the connection must end or must serve one more request. Numbers
in `section` are of RFC 9112 unless they begin with 9110, 3986, 6454 or "fetch".
"""
from typing import NamedTuple

FIN, RESET = "FIN", "RESET"  # pieces that are no bytes: how the client ends
CANARY = b"zqjxvk"  # in whatever is sent; never in what comes back
LINE_MAX, HEAD_MAX, FIELDS_MAX = 8192, 16384, 100
HOST = b"Host: localhost\r\n"
NOTE = b"X-Note: " + CANARY + b"\r\n"

MUST_CLOSE, MUST_STAY, MAY_STAY = "must close", "must stay", "may stay"


class Answer(NamedTuple):
    statuses: tuple
    head: bool = False  # of a HEAD request: fields alone
    stream: bool = False  # a body without end: events, and nothing else, until we leave


class Case(NamedTuple):
    name: str
    section: str
    pieces: tuple
    answers: tuple
    end: str = MAY_STAY
    silence: bool = False  # no answer at all is accepted, too
    needs: str = ""  # an option without which the daemon cannot know


def get(target=b"/version", *fields, method=b"GET", version=b"HTTP/1.1", host=HOST):
    lines = b"".join(field + b"\r\n" for field in fields)
    return b"%b %b %b\r\n%b%b%b\r\n" % (method, target, version, host, NOTE, lines)


SMUGGLED = get(b"/smuggled-" + CANARY)
STREAM = get(b"/vram/stream")
CASES = []


def pieces_of(sent):
    return sent if isinstance(sent, tuple) else (sent,)


def accepted(section, rows, end=MUST_STAY, **options):
    """Rows (name, bytes or pieces, status ...): one answer for each status."""
    for name, sent, *statuses in rows:
        answers = tuple(s if isinstance(s, Answer) else Answer(s if isinstance(s, tuple) else (s,))
                        for s in statuses)
        CASES.append(Case(name, section, pieces_of(sent), answers, end, **options))


def refused(section, rows, behind=SMUGGLED, **options):
    """Rows (name, bytes, status ...): one answer, of any of them, and the end of it."""
    for name, sent, *statuses in rows:
        CASES.append(Case(name, section, (*pieces_of(sent), behind), (Answer(tuple(statuses)),),
                          MUST_CLOSE, **options))


def head(status):
    return Answer((status,), head=True)


EVENTS = Answer((200,), stream=True)
NO_HEAD_EVENTS = Answer((200,), head=True)

# Requests as they should be.
accepted("3", [
    ("a plain request", get(), 200),
    ("a query", get(b"/version?" + CANARY), 200),
    ("an empty query", get(b"/version?"), 200),
    ("question marks in a query", get(b"/version?a?b?c"), 200),
    ("an encoded line end in a query", get(b"/version?%0d%0aX-Note:%20" + CANARY), 200),
    ("nowhere", get(b"/" + CANARY), 404),
    ("the root", get(b"/"), 200),
    ("a longer name", get(b"/versionX"), 404),
    ("a slash too many", get(b"/version/"), 404),
    ("two slashes", get(b"//version"), 404),
    ("parameters of a path", get(b"/version;a=b"), 404),
    ("capitals in the path", get(b"/VERSION"), 404),
    ("a target of the longest line", get(b"/" + b"a" * (LINE_MAX - 16)), (404, 414)),
    ("a target of 4000 bytes", get(b"/" + b"a" * 4000), 404),
    ("an empty line before", b"\r\n" + get(), 200),
    ("three empty lines before", b"\r\n\r\n\r\n" + get(), 200),
    ("an empty line between two", get() + b"\r\n" + get(), 200, 200),
])
accepted("3986 6.2.2", [
    ("an encoded letter", get(b"/%76ersion"), (200, 404)),
    ("an encoded slash", get(b"/vram%2fstream"), 404),
    ("an encoded NUL", get(b"/version%00"), (400, 404)),
    ("a percent sign alone", get(b"/version%"), (400, 404)),
    ("a percent sign and no digits", get(b"/%zz"), (400, 404)),
    ("an encoded CR LF", get(b"/%0d%0aX-Note:" + CANARY), (400, 404)),
    ("dot segments", get(b"/../version"), (400, 404)),
    ("one dot", get(b"/./version"), (200, 400, 404)),
    ("encoded dots", get(b"/%2e%2e/%2e%2e/etc/passwd"), (400, 404)),
    ("dot segments up the tree", get(b"/" + b"../" * 100 + b"etc/passwd"), (400, 404)),
    ("an overlong encoding of a slash", get(b"/..%c0%af..%c0%afetc/passwd"), (400, 404)),
    ("a backslash", get(b"/..\\..\\" + CANARY), (400, 404)),
    ("markup in the path", get(b"/<script>alert(1)</script>" + CANARY), (400, 404)),
    ("quotes in the path", get(b'/"\'`' + CANARY), (400, 404)),
], end=MAY_STAY)
accepted("9110 9", [
    ("HEAD", get(method=b"HEAD"), head(200)),
    ("HEAD of nowhere", get(b"/nowhere", method=b"HEAD"), head(404)),
    ("HEAD of the document", get(b"/vram", method=b"HEAD"), head(200)),
    ("HEAD of the stream", get(b"/vram/stream", method=b"HEAD"), NO_HEAD_EVENTS),
    ("HEAD, then GET", get(method=b"HEAD") + get(), head(200), 200),
    ("OPTIONS", get(b"/vram", method=b"OPTIONS"), (200, 204)),
    ("OPTIONS of the server", get(b"*", method=b"OPTIONS"), (200, 204)),
    ("OPTIONS of the stream", get(b"/vram/stream", method=b"OPTIONS"), (200, 204)),
    ("OPTIONS of nowhere", get(b"/nowhere", method=b"OPTIONS"), (200, 204, 404)),
])
accepted("9110 9.3.2", [
    ("HEAD with a body", get(b"/vram", b"Content-Length: 5", method=b"HEAD") + b"hello",
     Answer((400, 413), head=True)),
    ("HEAD in HTTP/2.0", get(method=b"HEAD", version=b"HTTP/2.0"), head(505)),
    ("HEAD without Host", get(method=b"HEAD", host=b""), head(400)),
    ("HEAD of too long a line", get(b"/" + b"a" * 9000, method=b"HEAD"), head(414)),
    ("HEAD of too many fields", get(b"/", *[b"A: b"] * 200, method=b"HEAD"), head(431)),
    ("half a HEAD", get(method=b"HEAD")[:-2], head(408)),
], end=MUST_CLOSE)
accepted("9110 9", [
    ("POST without a body", get(b"/vram", method=b"POST"), (405, 411)),
    ("POST of length 0", get(b"/vram", b"Content-Length: 0", method=b"POST"), 405),
    ("PUT", get(b"/vram", method=b"PUT"), (405, 501)),
    ("PATCH", get(b"/vram", method=b"PATCH"), (405, 501)),
    ("DELETE", get(b"/vram", method=b"DELETE"), (405, 501)),
    ("DELETE of the stream", get(b"/vram/stream", method=b"DELETE"), (405, 501)),
    ("TRACE", get(b"/vram", method=b"TRACE"), (405, 501)),
    ("PROPFIND", get(b"/vram", method=b"PROPFIND"), (405, 501)),
    ("PURGE", get(b"/vram", method=b"PURGE"), (405, 501)),
    ("QUERY", get(b"/vram", method=b"QUERY"), (405, 501)),
    ("CONNECT of a path", get(b"/vram", method=b"CONNECT"), (400, 405, 501)),
    ("a method of one's own", get(method=b"BREW"), (405, 501)),
    ("a method of odd characters", get(method=b"!#$%&'*+-.^_`|~"), (405, 501)),
    ("a method in small letters", get(method=b"get"), (400, 405, 501)),
    ("a method in mixed letters", get(method=b"Get"), (400, 405, 501)),
    ("a method longer by a letter", get(method=b"GETT"), (400, 405, 501)),
    ("a method shorter by a letter", get(method=b"GE"), (400, 405, 501)),
    ("a method of 4000 letters", get(method=b"A" * 4000), (400, 405, 414, 501)),
    ("the star with GET", get(b"*"), (400, 404)),
], end=MAY_STAY)
accepted("3.2.2", [
    ("the scheme of TLS on the plain port", get(b"https://localhost/version"), 200),
    ("absolute form", get(b"http://localhost/version"), 200),
    ("absolute form in capitals", get(b"HTTP://LOCALHOST/version"), 200),
    ("absolute form with a port", get(b"http://localhost:6767/version?a"), 200),
    ("absolute form of an address", get(b"http://127.0.0.1/version"), 200),
    ("absolute form without a path", get(b"http://localhost"), (200, 404)),
    ("absolute form without a path, with a query", get(b"http://localhost?a=b"), (200, 400, 404)),
    ("OPTIONS of the server in absolute form", get(b"http://localhost", method=b"OPTIONS"),
     (200, 204, 404)),
], end=MAY_STAY)
refused("3.2", [
    ("absolute form without a host", get(b"http:///version"), 400),
    ("a scheme alone", get(b"http://"), 400),
    ("a scheme and no slashes", get(b"http:/version"), 400),
    ("another scheme", get(b"ftp://localhost/version"), 400, 421),
    ("authority form with GET", get(b"localhost:80"), 400),
    ("CONNECT in authority form", get(b"localhost:80", method=b"CONNECT"), 400, 405, 501),
    ("a path without a slash", get(b"version"), 400),
    ("a query alone", get(b"?version"), 400),
    ("the star with a query", get(b"*?a", method=b"OPTIONS"), 400),
    ("two stars", get(b"**", method=b"OPTIONS"), 400),
    ("a fragment", get(b"/version#" + CANARY), 400),
])

# The request line, broken.
refused("3", [
    ("no target", b"GET HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    ("an empty target", b"GET  HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    ("no method", b" /version HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    ("a method alone", b"GET\r\n" + HOST + b"\r\n", 400),
    ("two blanks behind the method", get(b" /version"), 400),
    ("two blanks behind the target", get(b"/version "), 400),
    ("a blank behind the version", get(version=b"HTTP/1.1 "), 400, 505),
    ("a tab behind the method", b"GET\t/version HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    ("a tab behind the target", b"GET /version\tHTTP/1.1\r\n" + HOST + b"\r\n", 400),
    ("a vertical tab behind the method", b"GET\v/version HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    ("a form feed behind the target", b"GET /version\fHTTP/1.1\r\n" + HOST + b"\r\n", 400),
    ("a CR behind the method", b"GET\r/version HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    ("a blank in the target", get(b"/ver sion"), 400),
    ("a fourth word", get(version=b"HTTP/1.1 " + CANARY), 400, 505),
    ("a blank before the method", b" " + get(), 400),
    ("a tab before the method", b"\t" + get(), 400),
    ("a byte order mark", b"\xef\xbb\xbf" + get(), 400),
    ("a parenthesis in the method", get(method=b"GE(T"), 400, 501),
    ("a slash in the method", get(method=b"GE/T"), 400, 501),
    ("a colon in the method", get(method=b"GET:"), 400, 501),
    ("a NUL in the method", get(method=b"GE\0T"), 400),
    ("a NUL before the method", b"\0" + get(), 400),
    ("a high byte in the method", get(method=b"G\xcbT"), 400, 501),
    ("a NUL in the target", get(b"/version\0" + CANARY), 400),
    ("a control byte in the target", get(b"/version\x01"), 400),
    ("an escape in the target", get(b"/\x1b[31m" + CANARY), 400),
    ("a DEL in the target", get(b"/version\x7f"), 400),
    ("a high byte in the target", get(b"/version\xe9"), 400),
    ("UTF-8 in the target", get("/versión".encode()), 400),
    ("a bare CR in the target", get(b"/ver\rsion"), 400),
    ("a bare LF in the target", get(b"/ver\nsion"), 400),
    ("a line of lines", b"GET /version HTTP/1.1 GET /version HTTP/1.1\r\n" + HOST + b"\r\n",
     400, 505),
    ("a field instead of the line", HOST + b"\r\n", 400),
    ("the status line of an answer", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 400, 501),
])

# Versions.
accepted("9110 2.5", [
    ("HTTP/1.%d" % minor, get(version=b"HTTP/1.%d" % minor), 200) for minor in range(2, 10)])
accepted("9110 2.5", [
    ("HTTP/1.0", get(version=b"HTTP/1.0"), 200),
    ("HTTP/1.0 without Host", get(version=b"HTTP/1.0", host=b""), 200),
    ("HTTP/1.0 that asks to close", get(b"/version", b"Connection: close", version=b"HTTP/1.0"),
     200),
    ("HTTP/1.0, and one more behind", get(version=b"HTTP/1.0") + SMUGGLED, 200),
    ("HTTP/1.0 HEAD", get(method=b"HEAD", version=b"HTTP/1.0"), head(200)),
], end=MUST_CLOSE)
accepted("9.3", [
    ("HTTP/1.0 that wants to stay", get(b"/version", b"Connection: keep-alive",
                                        version=b"HTTP/1.0"), 200),
    ("HTTP/1.0 that stays for two", get(b"/version", b"Connection: keep-alive",
                                        version=b"HTTP/1.0") * 2, 200, 200),
], end=MAY_STAY)
refused("2.3", [
    ("version %s" % text.decode(), get(version=text), *statuses) for text, *statuses in (
        (b"HTTP/2.0", 505), (b"HTTP/2", 400, 505), (b"HTTP/3.0", 505), (b"HTTP/3", 400, 505),
        (b"HTTP/0.9", 400, 505), (b"HTTP/9.9", 505), (b"HTTP/1.10", 400, 505),
        (b"HTTP/1.1.1", 400, 505), (b"HTTP/01.1", 400, 505), (b"HTTP/1.01", 400, 505),
        (b"HTTP/11.1", 400, 505), (b"HTTP/1", 400, 505), (b"HTTP/1.", 400, 505),
        (b"HTTP/.1", 400, 505), (b"HTTP/", 400, 505), (b"HTTP", 400, 505),
        (b"HTTP/-1.1", 400, 505), (b"HTTP/+1.1", 400, 505), (b"HTTP/1,1", 400, 505),
        (b"HTTP/1.1a", 400, 505), (b"HTTP/a.b", 400, 505), (b"HTTP 1.1", 400, 505),
        (b"http/1.1", 400, 505), (b"Http/1.1", 400, 505), (b"HTTPS/1.1", 400, 505),
        (b"HTCPCP/1.0", 400, 505), (b"RTSP/1.0", 400, 505), (b"ICE/1.0", 400, 505),
        (b"SIP/2.0", 400, 505), (b"HTTP\\1.1", 400, 505), (b"\xef\xbc\xa8TTP/1.1", 400, 505))
])
refused("9110 2.5", [
    ("HTTP/0.9", b"GET /version\r\n", 400, 505),
    ("HTTP/0.9 and an empty line", b"GET /version\r\n\r\n", 400, 505),
    ("HTTP/0.9 with fields", b"GET /version\r\n" + HOST + b"\r\n", 400, 505),
])

# Line ends.
refused("2.2", [
    ("bare LF throughout", get().replace(b"\r\n", b"\n"), 400),
    ("bare LF behind the request line", get().replace(b"\r\n", b"\n", 1), 400),
    ("bare LF behind a field", get(b"/version", b"A: b\nC: d"), 400),
    ("bare LF as the last line", get()[:-2] + b"\n", 400),
    ("LF LF at the end", get()[:-4] + b"\n\n", 400),
    ("CR CR LF behind a field", get(b"/version", b"A: b\r"), 400),
    ("CR CR LF as the last line", get()[:-2] + b"\r\r\n", 400),
    ("bare CR throughout", get().replace(b"\r\n", b"\r") + b"\r\n\r\n", 400),
    ("bare CR in a value", get(b"/version", b"A: b\rc"), 400),
    ("bare CR before a value", get(b"/version", b"A:\rb"), 400),
    ("bare CR in a name", get(b"/version", b"A\rB: c"), 400),
    ("bare CR that would be a field", get(b"/version", b"A: b\rContent-Length: 5"), 400),
    ("LF CR instead of CR LF", get(b"/version", b"A: b").replace(b"\r\n", b"\n\r"), 400),
    ("an LF before the request line", b"\n" + get(), 400),
    ("a CR before the request line", b"\r" + get(), 400),
    ("CR and a letter at the end", get()[:-2] + b"\rX", 400),
    ("a Unicode line separator for a line end", get(b"/version", b"A: b").replace(
        b"A: b\r\n", b"A: b\xe2\x80\xa8") + b"\0", 400),
])
refused("5.2", [
    ("a folded value", get(b"/version", b"A: b\r\n c"), 400),
    ("a value folded by a tab", get(b"/version", b"A: b\r\n\tc"), 400),
    ("a value folded at once", get(b"/version", b"A:\r\n b"), 400),
    ("a line of blanks alone", get(b"/version", b"A: b\r\n   "), 400),
    ("a fold as the first line", b"GET /version HTTP/1.1\r\n " + HOST + b"\r\n", 400),
    ("Host folded", get(host=b"Host:\r\n localhost\r\n"), 400),
    ("Content-Length folded", get(b"/version", b"Content-Length:\r\n 0"), 400),
    ("Transfer-Encoding folded", get(b"/version", b"Transfer-Encoding:\r\n chunked"), 400),
    ("a fold that ends the head", get(b"/version", b"A: b\r\n \r\n"), 400),
])

# Fields.
accepted("5", [
    ("no blank behind the colon", get(b"/version", b"A:b"), 200),
    ("many blanks around a value", get(b"/version", b"A:   b   "), 200),
    ("tabs around a value", get(b"/version", b"A:\tb\t"), 200),
    ("an empty value", get(b"/version", b"A:"), 200),
    ("a value of blanks", get(b"/version", b"A:     "), 200),
    ("colons in a value", get(b"/version", b"A: b:c:d"), 200),
    ("high bytes in a value", get(b"/version", b"A: \x80\xff\xc3\xa9"), 200),
    ("every visible character in a value", get(b"/version", b"A: " + bytes(range(33, 127))), 200),
    ("every character of a name", get(b"/version", b"!#$%&'*+-.^_`|~09azAZ: b"), 200),
    ("a name of one letter", get(b"/version", b"X: y"), 200),
    ("a name of 4000 letters", get(b"/version", b"X" * 4000 + b": y"), 200),
    ("a value of 8000 letters", get(b"/version", b"X: " + b"y" * 8000), 200),
    ("names in small letters", get(host=b"host: localhost\r\n"), 200),
    ("names in capitals", get(host=b"HOST: localhost\r\n"), 200),
    ("one field twice", get(b"/version", b"A: b", b"A: c"), 200),
    ("exactly as many fields as may be",
     get(b"/version", *[b"A: b"] * (FIELDS_MAX - 2)), 200),
    ("a head as long as may be", get(b"/version", b"A: " + b"b" * (HEAD_MAX - len(get()) - 5)),
     200),
    ("Accept-Encoding", get(b"/version", b"Accept-Encoding: gzip, br"), 200),
    ("Range", get(b"/vram", b"Range: bytes=0-3"), 200),
    ("many ranges", get(b"/vram", b"Range: bytes=" + b"0-,1-," * 600 + b"2-"), 200),
    ("If-None-Match", get(b"/vram", b'If-None-Match: "' + CANARY + b'"'), 200),
    ("Accept of something else", get(b"/vram", b"Accept: image/png"), (200, 406)),
    ("Cookie", get(b"/version", b"Cookie: a=" + CANARY), 200),
    ("Forwarded", get(b"/version", b"X-Forwarded-For: 1.2.3.4", b"X-Forwarded-Host: evil"), 200),
    ("another method by a field", get(b"/version", b"X-HTTP-Method-Override: DELETE"), 200),
    ("another path by a field", get(b"/version", b"X-Original-URL: /" + CANARY), 200),
    ("Max-Forwards", get(b"*", b"Max-Forwards: 0", method=b"OPTIONS"), (200, 204)),
    ("a last id from nowhere", get(b"/vram", b"Last-Event-ID: " + CANARY + b"-99"), 200),
])
refused("5.1", [
    ("a blank before the colon", get(b"/version", b"A : b"), 400),
    ("a tab before the colon", get(b"/version", b"A\t: b"), 400),
    ("a blank before Host's colon", get(host=b"Host : localhost\r\n"), 400),
    ("a blank before Content-Length's colon", get(b"/version", b"Content-Length : 5"), 400),
    ("a blank before Transfer-Encoding's colon", get(b"/version", b"Transfer-Encoding : chunked"),
     400),
    ("no colon", get(b"/version", b"A"), 400),
    ("no name", get(b"/version", b": b"), 400),
    ("a colon alone", get(b"/version", b":"), 400),
    ("a request line among the fields", get(b"/version", b"GET /" + CANARY + b" HTTP/1.1"), 400),
    ("a blank in a name", get(b"/version", b"A B: c"), 400),
    ("a field before the request line", HOST + get(), 400),
])
refused("9110 5.1", [
    ("byte %#04x in a name" % byte, get(b"/version", b"A" + bytes([byte]) + b"B: c"), 400)
    for byte in (0, 1, 8, 0x0b, 0x1b, 0x1f, *b'"(),/;<=>?@[\\]{}', 0x7f, 0x80, 0xc3, 0xff)])
refused("9110 5.5", [
    ("byte %#04x in a value" % byte, get(b"/version", b"A: b" + bytes([byte]) + b"c"), 400)
    for byte in (0, 1, 2, 7, 8, 0x0b, 0x0c, 0x0e, 0x1a, 0x1b, 0x1f, 0x7f)])
refused("9110 5.5", [
    ("a NUL at the end of a value", get(b"/version", b"A: b\0"), 400),
    ("a NUL in Host", get(host=b"Host: local\0host\r\n"), 400),
    ("a NUL behind the head", get()[:-2] + b"\0\r\n", 400),
])

# Sizes.
refused("3", [
    ("a line too long by one", get(b"/" + b"a" * (LINE_MAX - 15)), 414),
    ("a line of 9000 bytes", get(b"/" + b"a" * 9000), 414),
    ("a line of 64 KB", get(b"/" + b"a" * 65536), 414),
    ("a line of a megabyte", get(b"/" + b"a" * (1 << 20)), 414),
    ("a line without an end", b"GET /" + b"a" * (LINE_MAX + 1), 414),
    ("a method without an end", b"A" * (LINE_MAX + 1), 400, 414, 501),
    ("letters, and no line at all", b"a" * 40000, 400, 414, 501),
    ("a query of 9000 bytes", get(b"/version?" + b"a" * 9000), 414),
])
refused("9110 5.4", [
    ("one field too many", get(b"/version", *[b"A: b"] * (FIELDS_MAX - 1)), 431),
    ("1000 fields", get(b"/version", *[b"A: b"] * 1000), 431),
    ("3000 fields of nothing", get(b"/version", *[b"A:"] * 3000), 431),
    ("one field of 20000 bytes", get(b"/version", b"A: " + b"b" * 20000), 431),
    ("a name of 20000 bytes", get(b"/version", b"A" * 20000 + b": b"), 431),
    ("a field of a megabyte", get(b"/version", b"A: " + b"b" * (1 << 20)), 431),
    ("a head too long by one",
     get(b"/version", b"A: " + b"b" * (HEAD_MAX - len(get()) - 4)), 431),
    ("fields without an end", get()[:-2] + b"A: b\r\n" * 4000, 431),
    ("a field without an end", get()[:-2] + b"A: " + b"b" * HEAD_MAX, 431),
    ("blanks without an end", get()[:-2] + b"A:" + b" " * HEAD_MAX, 431),
])
accepted("2.2", [
    ("40000 empty lines", b"\r\n" * 20000 + get(), (200, 400, 431)),
], end=MAY_STAY)

# Framing: whoever says that a body comes is refused, so that nobody disagrees on its end.
CL, TE = b"Content-Length: ", b"Transfer-Encoding: "
CHUNKED = TE + b"chunked"
refused("6.3", [
    ("a body", get(b"/vram", CL + b"5", method=b"POST") + b"hello", 400, 413),
    ("a body with GET", get(b"/vram", CL + b"5") + b"hello", 400, 413),
    ("a body of one byte", get(b"/vram", CL + b"1", method=b"POST") + b"h", 400, 413),
    ("a body that is a request", get(b"/vram", CL + b"%d" % len(SMUGGLED), method=b"POST"),
     400, 413),
    ("a body that does not come", get(b"/vram", CL + b"1000000", method=b"POST"), 400, 413),
    ("CL of 2^63", get(b"/vram", CL + b"9223372036854775808", method=b"POST"), 400, 413),
    ("CL of 2^64", get(b"/vram", CL + b"18446744073709551616", method=b"POST"), 400, 413),
    ("CL of 2^64 and 1", get(b"/vram", CL + b"18446744073709551617", method=b"POST"), 400, 413),
    ("CL of 2^32", get(b"/vram", CL + b"4294967296", method=b"POST"), 400, 413),
    ("CL of 2^64 - 1", get(b"/vram", CL + b"18446744073709551615", method=b"POST"), 400, 413),
    ("CL of 1000 digits", get(b"/vram", CL + b"9" * 1000, method=b"POST"), 400, 413),
    ("CL twice, the same", get(b"/vram", CL + b"5", CL + b"5", method=b"POST") + b"hello", 400,
     413),
    ("CL twice, unlike", get(b"/vram", CL + b"0", CL + b"5", method=b"POST") + b"hello", 400, 413),
    ("CL twice, unlike, the other way", get(b"/vram", CL + b"5", CL + b"0", method=b"POST"), 400,
     413),
    ("CL twice, of other letters", get(b"/vram", CL + b"0", b"content-length: 44"), 400, 413),
    ("CL in a list, the same", get(b"/vram", CL + b"5, 5", method=b"POST") + b"hello", 400, 413),
    ("CL in a list, unlike", get(b"/vram", CL + b"0, 5", method=b"POST") + b"hello", 400, 413),
    ("CL with HEAD's method", get(b"/vram", CL + b"5", method=b"PUT") + b"hello", 400, 413),
    ("CL with OPTIONS", get(b"*", CL + b"5", method=b"OPTIONS") + b"hello", 400, 413),
    ("CL with HTTP/1.0", get(b"/vram", CL + b"5", version=b"HTTP/1.0") + b"hello", 400, 413),
    ("CL with the stream", get(b"/vram/stream", CL + b"5") + b"hello", 400, 413),
])
refused("6.2", [
    ("CL %s" % value.decode("latin-1"), get(b"/version", CL + value), 400, 413)
    for value in (b"-1", b"-0", b"+5", b"+0", b"5 5", b"0 0", b"0x0", b"0x5", b"5.0", b"0.0",
                  b"5e0", b"1_0", b"five", b"0;", b"0,", b",0", b"0\x0b", b"'0'", b'"5"', b"00000005",
                  b"\xb2", b"NaN", b"0 chunked")])
refused("6.2", [("CL of nothing", get(b"/version", CL), 400),
                ("CL of blanks", get(b"/version", CL + b"   "), 400),
                ("CL of a tab and 5", get(b"/version", b"Content-Length:\t5"), 400, 413)])
refused("6.1", [
    ("chunked", get(b"/vram", CHUNKED, method=b"POST") + b"0\r\n\r\n", 400, 411, 413, 501),
    ("chunked with GET", get(b"/vram", CHUNKED) + b"5\r\nhello\r\n0\r\n\r\n", 400, 413, 501),
    ("CL.TE", get(b"/vram", CL + b"6", CHUNKED, method=b"POST") + b"0\r\n\r\nG", 400, 413),
    ("TE.CL", get(b"/vram", CHUNKED, CL + b"4", method=b"POST") + b"5c\r\n", 400, 413),
    ("CL of 0 and TE", get(b"/vram", CL + b"0", CHUNKED, method=b"POST") + b"0\r\n\r\n", 400, 413),
    ("TE twice", get(b"/vram", CHUNKED, CHUNKED, method=b"POST") + b"0\r\n\r\n", 400, 413, 501),
    ("TE twice, unlike", get(b"/vram", CHUNKED, TE + b"identity", method=b"POST"), 400, 413, 501),
    ("TE in HTTP/1.0", get(b"/vram", CHUNKED, method=b"POST", version=b"HTTP/1.0") +
     b"0\r\n\r\n", 400, 413, 501),
    ("a chunk's size of 2^64", get(b"/vram", CHUNKED, method=b"POST") +
     b"10000000000000000\r\nhello\r\n0\r\n\r\n", 400, 413, 501),
    ("a chunk's size that is negative", get(b"/vram", CHUNKED, method=b"POST") + b"-1\r\n", 400,
     413, 501),
    ("a chunk's size in C's hexadecimal", get(b"/vram", CHUNKED, method=b"POST") + b"0x5\r\nhello",
     400, 413, 501),
    ("a chunk ended by LF", get(b"/vram", CHUNKED, method=b"POST") + b"5\nhello\n0\n\n", 400, 413,
     501),
    ("a chunk's extension", get(b"/vram", CHUNKED, method=b"POST") +
     b"0;a=" + b"b" * 20000 + b"\r\n\r\n", 400, 413, 501),
    ("trailers", get(b"/vram", CHUNKED, method=b"POST") + b"0\r\nHost: evil\r\n\r\n", 400, 413,
     501),
    ("chunks with the stream", get(b"/vram/stream", CHUNKED) + b"0\r\n\r\n", 400, 413, 501),
])
refused("6.1", [
    ("TE %s" % value.decode("latin-1").strip(), get(b"/vram", TE + value, method=b"POST") +
     b"0\r\n\r\n", 400, 413, 501)
    for value in (b"Chunked", b"CHUNKED", b"xchunked", b"chunkedx", b"identity", b"gzip",
                  b"gzip, chunked", b"chunked, gzip", b"chunked, chunked", b"chunked, identity",
                  b"chunked;q=1", b"'chunked'", b'"chunked"', b"chunked,", b",chunked",
                  b"cow", b"chun\tked", b"identity, chunked", b"chunked ")])
refused("6.1", [
    ("TE of nothing", get(b"/vram", TE, method=b"POST"), 400, 413, 501),
    ("TE without a blank", get(b"/vram", b"Transfer-Encoding:chunked"), 400, 413, 501),
    ("TE behind a tab", get(b"/vram", b"Transfer-Encoding:\tchunked"), 400, 413, 501),
    ("TE behind a vertical tab", get(b"/vram", b"Transfer-Encoding:\vchunked"), 400),
    ("TE with a NUL", get(b"/vram", TE + b"chunked\0"), 400),
    ("TE in small letters", get(b"/vram", b"transfer-encoding: chunked"), 400, 413, 501),
    ("TE behind a bare LF", get(b"/vram", b"A: b\n" + CHUNKED), 400),
    ("TE behind a bare CR", get(b"/vram", b"A: b\r" + CHUNKED), 400),
])
accepted("6.2", [
    ("CL of 0", get(b"/version", CL + b"0"), 200),
    ("CL of 0 among blanks", get(b"/version", CL + b"  0  "), 200),
    ("CL of 0, and one more behind", get(b"/version", CL + b"0") + get(), 200, 200),
    ("a field that is nearly TE", get(b"/version", b"Transfer_Encoding: chunked"), 200),
    ("a field that is nearly CL", get(b"/version", b"Content_Length: 5"), 200),
    ("TE, the other one", get(b"/version", b"TE: trailers"), 200),
    ("Trailer", get(b"/version", b"Trailer: Expires"), 200),
])
accepted("6.2", [
    ("CL of 00", get(b"/version", CL + b"00"), (200, 400, 413)),
    ("CL of 0 twice", get(b"/version", CL + b"0", CL + b"0"), (200, 400)),
], end=MAY_STAY)
refused("9110 10.1.1", [
    ("Expect and a body", get(b"/vram", b"Expect: 100-continue", CL + b"5", method=b"POST"), 400,
     413, 417),
    ("Expect, chunked", get(b"/vram", b"Expect: 100-continue", CHUNKED, method=b"POST"), 400, 413,
     417, 501),
])
accepted("9110 10.1.1", [
    ("Expect and no body", get(b"/version", b"Expect: 100-continue"), (200, 417)),
    ("Expect of something else", get(b"/version", b"Expect: " + CANARY), (200, 417)),
], end=MAY_STAY)
accepted("9110 7.8", [
    ("Upgrade to h2c", get(b"/version", b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c",
                           b"HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"), 200),
    ("Upgrade to a WebSocket", get(
        b"/version", b"Connection: Upgrade", b"Upgrade: websocket",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", b"Sec-WebSocket-Version: 13"), 200),
    ("Upgrade to TLS", get(b"*", b"Connection: Upgrade", b"Upgrade: TLS/1.0",
                           method=b"OPTIONS"), (200, 204)),
    ("Upgrade that Connection does not name", get(b"/version", b"Upgrade: h2c"), 200),
    ("Upgrade, and one more behind", get(b"/version", b"Connection: Upgrade", b"Upgrade: h2c") +
     get(), 200, 200),
])

# How long a connection lives.
accepted("9.6", [
    ("Connection: close", get(b"/version", b"Connection: close"), 200),
    ("Connection: Close", get(b"/version", b"Connection: Close"), 200),
    ("Connection: close among others", get(b"/version", b"Connection: a, close ,b"), 200),
    ("close and keep-alive", get(b"/version", b"Connection: keep-alive, close"), 200),
    ("close in the first of two fields", get(b"/version", b"Connection: close",
                                             b"Connection: keep-alive"), 200),
    ("close in the second of two fields", get(b"/version", b"Connection: keep-alive",
                                              b"Connection: close"), 200),
    ("one more behind close", get(b"/version", b"Connection: close") + SMUGGLED, 200),
    ("close with nowhere", get(b"/nowhere", b"Connection: close"), 404),
    ("close with HEAD", get(b"/version", b"Connection: close", method=b"HEAD"), head(200)),
    ("close with OPTIONS", get(b"*", b"Connection: close", method=b"OPTIONS"), (200, 204)),
], end=MUST_CLOSE)
accepted("9.3", [
    ("Connection: keep-alive", get(b"/version", b"Connection: keep-alive"), 200),
    ("Connection of nothing", get(b"/version", b"Connection:"), 200),
    ("Connection that hides Host", get(b"/version", b"Connection: Host"), 200),
    ("a field that is nearly close", get(b"/version", b"Connection: closed"), 200),
    ("Proxy-Connection", get(b"/version", b"Proxy-Connection: close"), 200),
])
accepted("9.3.2", [
    ("two in one piece", get() * 2, 200, 200),
    ("unlike ones in one piece", get() + get(b"/nowhere") + get(b"/vram") +
     get(method=b"HEAD") + get(), 200, 404, 200, head(200), 200),
    ("twenty in one piece", get() * 20, *[200] * 20),
    ("ninety in one piece", get() * 90, *[200] * 90),
    ("fifty heads in one piece", get(b"/vram", method=b"HEAD") * 50, *[head(200)] * 50),
    ("two, cut in the second", (get() + get()[:30], 0.05, get()[30:]), 200, 200),
    ("a whole one and its line ends apart", (get()[:-2], 0.05, b"\r\n"), 200),
])
accepted("9.3.2", [
    ("a good one, then a bad one", get() + get(version=b"HTTP/2.0") + SMUGGLED, 200, (505,)),
    ("a good one, then no request", get() + b"\0\0\0\0" + SMUGGLED, 200, 400),
    ("a good one, then a body", get() + get(b"/vram", CL + b"5") + SMUGGLED, 200, (400, 413)),
    ("a good one, then one too long", get() + get(b"/" + b"a" * 9000), 200, 414),
    ("as many as a connection may have", get() * 99 + get(b"/version", b"Connection: close"),
     *[200] * 100),
    ("more than a connection may have", get() * 120, *[200] * 100),
], end=MUST_CLOSE)

# Split anywhere, slow, or ended early.
accepted("2.1", [
    ("byte by byte", tuple(p for b in get() for p in (bytes([b]), 0.001)), 200),
    ("line by line", tuple(p for l in get().splitlines(True) for p in (l, 0.01)), 200),
    ("a head of 16 KB in pieces of 1000 bytes",
     tuple(p for i in range(0, HEAD_MAX, 1000)
           for p in (get(b"/version", b"A: " + b"b" * (HEAD_MAX - len(get()) - 5))[i:i + 1000],
                     0.002)), 200),
    ("between CR and LF of the end", (get()[:-1], 0.05, b"\n"), 200),
    ("between two empty lines before", (b"\r", 0.02, b"\n", 0.02, get()), 200),
    ("two with a pause", (get(), 0.3, get()), 200, 200),
])
accepted("8", [
    ("nothing, then FIN", (FIN,)),
    ("half a line, then FIN", (b"GET /ver", FIN)),
    ("half a head, then FIN", (get()[:-2], FIN)),
    ("a line end, then FIN", (b"\r\n", FIN)),
], end=MUST_CLOSE, silence=True)
accepted("9.6", [
    ("a request, then FIN", (get(), FIN), 200),
    ("three requests, then FIN", (get() * 3, FIN), 200, 200, 200),
    ("a bad request, then FIN", (get(version=b"HTTP/2.0"), FIN), 505),
    ("HEAD, then FIN", (get(method=b"HEAD"), FIN), head(200)),
], end=MUST_CLOSE)
accepted("9.5", [
    ("nothing", ()),
    ("half a line", (b"GET /ver",), 408),
    ("half a head", (get()[:-2],), 408),
    ("half a second head", (get() + get()[:-2],), 200, 408),
    ("a byte a second", tuple(p for b in get()[:7] for p in (bytes([b]), 1.0)), 408),
], end=MUST_CLOSE, silence=True)
accepted("9.5", [
    ("nothing, then RST", (RESET,)),
    ("half a head, then RST", (get()[:-2], RESET)),
    ("a request, then RST", (get(), RESET)),
    ("a hundred requests, then RST", (get(b"/vram") * 100, RESET)),
    ("the stream, then RST", (STREAM, RESET)),
    ("the stream read, then RST", (STREAM, 0.3, RESET)),
    ("a refused request, then RST", (get(version=b"HTTP/2.0"), RESET)),
    ("the stream, half of one more, then RST", (STREAM + get()[:20], RESET)),
])

# Behind a stream's request all is dropped.
accepted("9.3.2", [
    ("the stream", STREAM, EVENTS),
    ("the stream to HTTP/1.0", get(b"/vram/stream", version=b"HTTP/1.0"), EVENTS),
    ("the stream to HTTP/1.0 that wants to stay",
     get(b"/vram/stream", b"Connection: keep-alive", version=b"HTTP/1.0"), EVENTS),
    ("the stream with Connection: close", get(b"/vram/stream", b"Connection: close"), EVENTS),
    ("the stream with a query", get(b"/vram/stream?a=b"), EVENTS),
    ("the stream with an id that is none", get(b"/vram/stream", b"Last-Event-ID: " + CANARY),
     EVENTS),
    ("the stream in absolute form", get(b"http://localhost/vram/stream"), EVENTS),
    ("the stream, byte by byte", tuple(p for b in STREAM for p in (bytes([b]), 0.001)), EVENTS),
    ("the stream behind another request", get() + STREAM, 200, EVENTS),
    ("a request behind the stream", STREAM + SMUGGLED, EVENTS),
    ("a request behind the stream, later", (STREAM, 0.2, SMUGGLED), EVENTS),
    ("a second stream behind the stream", STREAM * 2, EVENTS),
    ("a bad request behind the stream", (STREAM, 0.1, b"\0\r\n\r\n" * 100), EVENTS),
    ("an endless line behind the stream", (STREAM, 0.1, b"a" * 30000), EVENTS),
    ("a TLS hello behind the stream", (STREAM, 0.1, b"\x16\x03\x01\x02\x00"), EVENTS),
], end=MAY_STAY)

# Who speaks something else.
HELLO = bytes.fromhex("16030100c4010000c00303") + bytes(range(32)) + b"\x00\x3c" * 75
accepted("2.2", [
    ("a TLS hello", HELLO, (400, 501)),
    ("a TLS hello of SSL 2", b"\x80\x2e\x01\x00\x02" + bytes(range(48)), (400, 501)),
    ("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, 501, 505)),
    ("the preface of HTTP/2 and frames",
     b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000") * 100,
     (400, 501, 505)),
    ("PROXY, version 1", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + get(), (400, 501, 505)),
    ("PROXY, version 2", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes(12) + get(), (400,)),
    ("SSH", b"SSH-2.0-OpenSSH_9.2\r\n", (400, 408, 501)),
    ("SMTP", b"EHLO localhost\r\nMAIL FROM:<a@b>\r\n\r\n", (400, 501)),
    ("Redis", b"*1\r\n$4\r\nPING\r\n\r\n", (400, 501)),
    ("memcached", b"stats\r\n\r\n", (400, 501)),
    ("RTSP", b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n", (400, 501, 505)),
    ("SIP", b"OPTIONS sip:a@b SIP/2.0\r\nVia: c\r\n\r\n", (400, 501, 505)),
    ("an SMB header", b"\0\0\0\x85\xffSMBr" + bytes(100), (400,)),
    ("RDP", b"\x03\0\0\x13\x0e\xe0\0\0\0\0\0\x01\0\x08\0\x03\0\0\0", (400, 501)),
    ("MQTT", b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00", (400, 501)),
    ("NULs", bytes(40000), (400,)),
    ("high bytes", b"\xff" * 40000, (400, 414, 501)),
    ("a NUL alone", b"\0", (400,)),
    ("an EOT", b"\x04\r\n\r\n", (400, 501)),
    ("a serialized object", b"\xac\xed\0\x05sr\0\x11java.util.HashMap", (400,)),
    ("a shell shock", get(b"/version", b"User-Agent: () { :; }; echo " + CANARY) + b"\0",
     200, (400,)),
    ("formats", get(b"/%n%n%s%s" + CANARY, b"User-Agent: %n%s%x") + b"\0", (400, 404), (400,)),
], end=MUST_CLOSE)

# Host.
refused("3.2", [
    ("no Host", get(host=b""), 400),
    ("Host twice", get(host=HOST * 2), 400),
    ("Host twice, unlike", get(host=HOST + b"Host: evil\r\n"), 400),
    ("Host twice, of other letters", get(host=HOST + b"hOST: localhost\r\n"), 400),
    ("Host twice, the second empty", get(host=HOST + b"Host:\r\n"), 400),
    ("Host twice in HTTP/1.0", get(host=HOST * 2, version=b"HTTP/1.0"), 400),
    ("no Host in absolute form", get(b"http://localhost/version", host=b""), 400),
    ("no Host with HTTP/1.2", get(host=b"", version=b"HTTP/1.2"), 400, 505),
    ("no Host with the stream", get(b"/vram/stream", host=b""), 400),
    ("X-Host in its place", get(host=b"X-Host: localhost\r\n"), 400),
])
accepted("9110 7.2", [
    ("Host %s" % name.decode(), get(host=b"Host: " + name + b"\r\n"), 200)
    for name in (b"localhost", b"LOCALHOST", b"LocalHost:6767", b"127.0.0.1", b"127.0.0.1:6767",
                 b"[::1]", b"[::1]:6767", b"localhost:1")])
# An address of this host in other letters: no name that somebody else could redirect.
accepted("9110 7.4", [
    ("Host %s" % name.decode("latin-1"), get(host=b"Host: " + name + b"\r\n"), (200, 400, 421))
    for name in (b"127.0.0.2", b"[::ffff:127.0.0.1]", b"localhost.", b"localhost:")],
    needs="allow-host")
accepted("9110 7.4", [
    ("Host %s" % name.decode("latin-1"), get(host=b"Host: " + name + b"\r\n"), (400, 421))
    for name in (b"evil", b"evil.example:6767", b"localhost.evil.example", b"evil.localhost",
                 b"127.0.0.1.evil.example", b"127.1", b"0.0.0.0", b"2130706433",
                 b"0x7f.0.0.1", b"[::]", b"[::2]", b"::1",
                 b"localhos", b"localhostx", b"local host", b"localhost, evil", b"evil@localhost",
                 b"localhost@evil", b"localhost/", b"localhost#", b"localhost:x",
                 b"localhost:-1", b"localhost:99999", b"localhost:80:80", b"http://localhost",
                 b"[::1", b"::1]", b"[localhost]", b"[]", b":6767", b"loc%61lhost", b"xn--lcalhost",
                 b"169.254.169.254", b"\xe2\x93\x81ocalhost", b"a" * 4000)],
    end=MAY_STAY, needs="allow-host")
accepted("9110 7.4", [
    ("an empty Host", get(host=b"Host:\r\n"), (400, 421)),
    ("an authority of somebody else", get(b"http://evil/version"), (400, 421)),
    ("an authority of somebody else, and the stream", get(b"http://evil/vram/stream"), (400, 421)),
    ("an authority with a user", get(b"http://evil@localhost/version"), (400, 421)),
    ("an authority that hides as a user", get(b"http://localhost@evil/version"), (400, 421)),
    ("an authority with a broken port", get(b"http://localhost:x/version"), (400, 421)),
    ("somebody else's name and the stream", get(b"/vram/stream", host=b"Host: evil\r\n"),
     (400, 421)),
    ("somebody else's name and OPTIONS", get(b"*", host=b"Host: evil\r\n", method=b"OPTIONS"),
     (400, 421)),
    ("somebody else's name and nowhere", get(b"/nowhere", host=b"Host: evil\r\n"), (400, 421)),
    ("somebody else's name in HTTP/1.0", get(host=b"Host: evil\r\n", version=b"HTTP/1.0"),
     (400, 421)),
], end=MAY_STAY, needs="allow-host")
accepted("3.2.2", [
    ("our authority wins over another Host", get(b"http://localhost/version",
                                                 host=b"Host: evil\r\n"), (200, 400, 421)),
], end=MAY_STAY, needs="allow-host")

# Pages of other sites.
accepted("6454 7", [
    ("Origin %s" % origin.decode(), get(b"/vram", b"Origin: " + origin), (403,))
    for origin in (b"http://evil", b"https://evil.example:6767", b"null", b"file://",
                   b"http://localhost.evil.example", b"http://127.0.0.1.evil.example", b"localhost",
                   b"http://evil@localhost", b"http://localhost@evil", b"x", b"*",
                   b"http://localhost http://evil", b"chrome-extension://abcdef")],
    end=MAY_STAY, needs="allow-host")
accepted("fetch", [
    ("a page of another site", get(b"/vram", b"Sec-Fetch-Site: cross-site"), 403),
    ("a page of the same site", get(b"/vram", b"Sec-Fetch-Site: same-site"), 403),
    ("the stream for a page of another site",
     get(b"/vram/stream", b"Sec-Fetch-Site: cross-site"), 403),
    ("a preflight", get(b"/vram", b"Origin: http://evil", b"Access-Control-Request-Method: GET",
                        method=b"OPTIONS"), 403),
    ("Origin twice", get(b"/vram", b"Origin: http://localhost", b"Origin: http://evil"),
     (400, 403)),
    ("Sec-Fetch-Site twice", get(b"/vram", b"Sec-Fetch-Site: same-origin",
                                 b"Sec-Fetch-Site: cross-site"), (400, 403)),
    ("Sec-Fetch-Site of something new", get(b"/vram", b"Sec-Fetch-Site: " + CANARY), (200, 403)),
], end=MAY_STAY, needs="allow-host")
accepted("fetch", [
    ("our own page", get(b"/vram", b"Sec-Fetch-Site: same-origin"), 200),
    ("an address typed in", get(b"/vram", b"Sec-Fetch-Site: none"), 200),
    ("our own page's Origin", get(b"/vram", b"Origin: http://localhost:@PORT@",
                                  host=b"Host: localhost:@PORT@\r\n"), 200),
    ("our own page, in capitals", get(b"/version", b"SEC-FETCH-SITE: same-origin"), 200),
])

# @PORT@ is the daemon's.
WRITTEN = len(CASES)  # those below are one request, cut in two at every byte


def cut(name, section, request, make, *statuses):
    make(section, [(f"{name}, cut at {i}", (request[:i], 0.02, request[i:]), *statuses)
                   for i in range(1, len(request))])


SHORT = b"GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n"
cut("a request", "2.1", SHORT, accepted, 200)
cut("a smuggler", "6.1", b"POST /vram HTTP/1.1\r\nHost:localhost\r\nContent-Length:6\r\n"
    b"Transfer-Encoding:chunked\r\n\r\n", refused, 400, 413)
