// SPDX-License-Identifier: Apache-2.0
#include "serve/page.h"

#include <stdio.h>

/*
 * The page runs what came with it and nothing else, asks nobody but its own server, and
 * has one place where a URL of a script may be made: that of its worker.
 */
static const char POLICY[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "worker-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types vramscope";

const struct page_file *page_find(struct span path)
{
    const struct page_file *file = page_files;

    while (file->path && !span_is(path, file->path))
        file++;
    return file->path ? file : NULL;
}

/* They are part of the program, and stay. */
static void release_file(void *file)
{
    (void)file;
}

void page_answer(struct http_conn *conn, const struct http_request *request,
                 const struct page_file *file)
{
    bool gzip =
        file->gzip.len > 0 && http_accepts_coding(request->accept_encoding, "gzip");
    char extra[160];
    struct http_response response = {
        .status = 200,
        .type = file->type,
        .extra = extra,
        .policy = POLICY,
        .body = gzip ? file->gzip : file->plain,
        .release = release_file,
        .lender = NULL,
    };

    if (http_tag_matches(request->if_none_match, file->tag)) {
        response.status = 304;
        response.type = NULL;
        response.body = (struct span){NULL, 0};
        gzip = false;
    }
    (void)snprintf(extra, sizeof(extra),
                   "ETag: W/%s\r\nCache-Control: no-cache\r\nVary: Accept-Encoding\r\n%s",
                   file->tag, gzip ? "Content-Encoding: gzip\r\n" : "");
    http_respond(conn, &response);
}
