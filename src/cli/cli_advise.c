// SPDX-License-Identifier: Apache-2.0
#include "cli/cli_get.h"
#include "cli/cli_json.h"
#include "cli/cli_output.h"

enum { TEXT_COLUMNS = 88, MS_PER_MINUTE = 60000, MS_PER_HOUR = 3600000 };

/* Of the daemon; "unknown" where it does not say. */
static void read_version(const struct cli *cli, const char *url, struct complaint *ret)
{
    struct vramscope_answer *answer;
    const char *version;
    json_t *object;

    (void)complain(ret, 0, "unknown");
    if (cli_get(cli, url, "/version", &answer) < 0)
        return;
    object = cli_answer_json(answer);
    version = json_string_value(json_object_get(object, "version"));
    if (version)
        (void)complain(ret, 0, "%s", version);
    json_decref(object);
    vramscope_answer_free(answer);
}

/* A count of milliseconds; -1: there is none. */
static double ms_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    return json_is_integer(value) ? (double)json_integer_value(value) : -1;
}

/* "24.0 hours", or "40 minutes" */
static struct complaint time_text(double ms)
{
    struct complaint text;

    if (ms < 2 * MS_PER_HOUR)
        (void)complain(&text, 0, "%.0f minutes", ms / MS_PER_MINUTE);
    else
        (void)complain(&text, 0, "%.1f hours", ms / MS_PER_HOUR);
    return text;
}

/* "org/model, port 8000"; of a GPU its UUID; "this host" */
static struct complaint subject_of(const json_t *item)
{
    const char *model = cli_text_of(item, "model"), *device = cli_text_of(item, "device");
    const json_t *port = json_object_get(item, "port");
    struct complaint text;

    if (*model && json_is_integer(port))
        (void)complain(&text, 0, "%s, port %lld", model,
                       (long long)json_integer_value(port));
    else
        (void)complain(&text, 0, "%s", *model ? model : *device ? device : "this host");
    return text;
}

/* Bytes of a line: as many words as there is room for, or one that is longer. */
static size_t line_length(const char *text)
{
    size_t len = strlen(text), at = TEXT_COLUMNS;

    if (len <= TEXT_COLUMNS)
        return len;
    while (at > 0 && text[at] != ' ')
        at--;
    return at > 0 ? at : strcspn(text, " ");
}

static void print_wrapped(const char *text)
{
    while (*text) {
        size_t len = line_length(text);

        cli_print("  %.*s", (int)len, text);
        text += len;
        text += strspn(text, " ");
    }
}

static void print_arithmetic(const json_t *item)
{
    const json_t *lines = json_object_get(item, "arithmetic");

    for (size_t i = 0; i < json_array_size(lines); i++) {
        const char *line = json_string_value(json_array_get(lines, i));

        if (line)
            cli_print("    %s", line);
    }
}

/* The command is on a line of its own without an indent, to be copied. */
static int print_advice(json_t *item)
{
    const char *title = cli_text_of(item, "title"),
               *confidence = cli_text_of(item, "confidence");
    const char *command = cli_text_of(item, "command");
    double observed_ms = ms_of(item, "observed_ms");

    if (!*title)
        return cli_print_value(json_incref(item)); // of a newer version
    cli_print("%s", title);
    if (observed_ms >= 0)
        cli_print("  %s; %s confidence, %s observed", subject_of(item).text,
                  *confidence ? confidence : "unknown", time_text(observed_ms).text);
    else
        cli_print("  %s", subject_of(item).text);
    print_wrapped(cli_text_of(item, "text"));
    print_arithmetic(item);
    if (*command)
        cli_print("%s", command);
    cli_print("%s", "");
    return 0;
}

static bool is_advised(const json_t *list, const json_t *observed)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);

        if (strcmp(cli_text_of(item, "model"), cli_text_of(observed, "model")) == 0 &&
            json_equal(json_object_get(item, "port"), json_object_get(observed, "port")))
            return true;
    }
    return false;
}

/* Why there is no advice on a model. */
static void print_observed(const json_t *list, const json_t *observed, double least_ms)
{
    double observed_ms = ms_of(observed, "observed_ms");
    struct complaint subject = subject_of(observed);

    if (observed_ms < 0 || is_advised(list, observed))
        return;
    if (!json_is_integer(json_object_get(observed, "kv_pool_bytes")))
        cli_print("%s: nothing to advise: the size of its KV pool is not known",
                  subject.text);
    else if (observed_ms < least_ms)
        cli_print("%s: nothing to advise yet: %.0f of %.0f minutes observed",
                  subject.text, observed_ms / MS_PER_MINUTE, least_ms / MS_PER_MINUTE);
    else
        cli_print("%s: nothing to advise: %s observed", subject.text,
                  time_text(observed_ms).text);
}

static int print_document(const struct cli *cli, const char *url, const json_t *document)
{
    const json_t *list = json_object_get(document, "advice");
    const json_t *observed = json_object_get(document, "observed");
    size_t n = json_array_size(list);
    int r = 0;

    if (!json_is_array(list)) {
        cli_message("%s: its answer is not understood", url);
        return CLI_FAILED;
    }
    if (cli->n_urls > 1)
        cli_print("%.*s", (int)cli_host_name(url).len, cli_host_name(url).at);
    for (size_t i = 0; i < n && r == 0; i++)
        r = print_advice(json_array_get(list, i));
    for (size_t i = 0; i < json_array_size(observed); i++)
        print_observed(list, json_array_get(observed, i), ms_of(document, "least_ms"));
    if (n == 0 && json_array_size(observed) == 0)
        cli_print("nothing to advise yet: no model has been observed");
    return r < 0 ? CLI_FAILED : CLI_OK;
}

static int print_answer(const struct cli *cli, const char *url,
                        const struct vramscope_answer *answer)
{
    struct span body = {answer->body, answer->body_len};
    json_t *document = cli_take_object(url, answer);
    int status = document ? CLI_OK : CLI_FAILED;

    while (body.len > 0 && body.at[body.len - 1] == '\n')
        body.len--;
    if (document && cli->json)
        cli_print_document(url, "advice", body, cli->n_urls > 1);
    else if (document)
        status = print_document(cli, url, document);
    json_decref(document);
    return status;
}

/* A daemon that has no such route, or plays a recording. */
static void tell_none(const struct cli *cli, const char *url,
                      const struct vramscope_answer *answer)
{
    struct complaint version, reason, remedy;

    (void)cli_answer_error(answer, &reason, &remedy);
    read_version(cli, url, &version);
    cli_message("the daemon at %s (version %s) does not offer advice: %s", url,
                version.text, reason.text);
}

static int advise(const struct cli *cli, const char *url)
{
    struct vramscope_answer *answer;
    int status = CLI_FAILED;

    if (cli_get(cli, url, "/v1/advice", &answer) < 0)
        return CLI_FAILED;
    if (answer->status == 404)
        tell_none(cli, url, answer);
    else
        status = print_answer(cli, url, answer);
    vramscope_answer_free(answer);
    return status;
}

int cli_advise(const struct cli *cli)
{
    int status = CLI_OK;

    for (size_t i = 0; i < cli->n_urls; i++)
        status = MAX(status, advise(cli, cli->urls[i]));
    return status;
}
