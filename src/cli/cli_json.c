// SPDX-License-Identifier: Apache-2.0
#include "cli/cli_json.h"

#include "base/text.h"
#include "cli/cli.h"
#include "cli/cli_output.h"

enum { DOCUMENT_MAX = 8 << 20, TEXT_SIZE = 4096 };

json_t *cli_json_text(const char *text)
{
    char clean[TEXT_SIZE];
    size_t len;

    if (!text)
        return json_null();
    len = text_clean(clean, sizeof(clean), span_of(text));
    return json_stringn(clean,
                        len); // json_string is a function of our own, encode/json.h
}

json_t *cli_json_number(int64_t number)
{
    return number == VRAMSCOPE_UNKNOWN ? json_null() : json_integer(number);
}

int cli_print_value(json_t *value)
{
    OWNED(free_str)
    char *text = value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

    json_decref(value);
    if (!text) {
        cli_message("out of memory");
        return -ENOMEM;
    }
    cli_print_json(span_of(text));
    return 0;
}

void cli_print_document(const char *url, const char *key, struct span document,
                        bool with_url)
{
    json_t *name = with_url ? cli_json_text(url) : NULL;
    OWNED(free_str)
    char *quoted = name ? json_dumps(name, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    struct buf line;

    json_decref(name);
    if (!with_url) {
        cli_print_json(document);
        return;
    }
    buf_init(&line, DOCUMENT_MAX);
    buf_printf(&line, "{\"url\":");
    buf_add_str(&line, quoted ? quoted : "null");
    buf_printf(&line, ",\"%s\":", key);
    buf_add(&line, document.at, document.len);
    buf_add_char(&line, '}');
    if (line.error)
        cli_message("%s: a document is left out: %s", url, strerror(-line.error));
    else
        cli_print_json(buf_span(&line));
    buf_done(&line);
}
