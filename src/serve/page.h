// SPDX-License-Identifier: Apache-2.0
/*
 * page.h - the dashboard's files, which are part of the program
 *
 * Built from web/ (tools/build-page) and the same for everybody, so they need no token;
 * what the page shows it asks for like any other client. A program built without them says
 * so on `/`.
 */
#ifndef SERVE_PAGE_H
#define SERVE_PAGE_H

#include "net/http_server.h"

struct page_file {
    const char *path; // "/", "/dashboard.js", ...
    const char *type;
    const char *tag;  // its entity tag, with the quotes; weak, as both codings have it
    bool is_document; // that links may lead to
    struct span plain;
    struct span gzip;
};

/* In the order of the table that the build makes; ends with an entry without a path. */
extern const struct page_file page_files[];

/* NULL: it is none of them. */
const struct page_file *page_find(struct span path);

/* Answer a GET or HEAD request for it. */
void page_answer(struct http_conn *conn, const struct http_request *request,
                 const struct page_file *file);

#endif
