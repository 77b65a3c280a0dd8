// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"
#include "cli/cli_feed.h"
#include "cli/cli_output.h"
#include "recording/recording.h"

#include <inttypes.h>
#include <stdio.h>

enum { PROGRESS_MS = 1000 };

struct recorder {
    const struct cli *cli;
    struct feed *feed;
    struct recording_writer *writer;
    int64_t documents;
    int64_t left_out; // that could not be entries
    int64_t until_ms; // by feed_now_ms(); -1: without end
    int64_t tell_ms;  // when progress is shown next; -1: never
};

/* What of an event is recorded; false: nothing. */
static bool entry_of(const struct vramscope_event *event, struct recording_entry *ret)
{
    const char *reason = event->reason ? event->reason : "no reason given";

    *ret = (struct recording_entry){.unix_ms = event->unix_ms, .text = span_of(reason)};
    switch (event->type) {
    case VRAMSCOPE_DETAIL:
        ret->kind = RECORDING_DETAIL;
        ret->id = span_of(event->id);
        ret->text = (struct span){event->data, event->data_len};
        return true;
    case VRAMSCOPE_NO_DATA:
        ret->kind = RECORDING_NO_DATA;
        return true;
    case VRAMSCOPE_DISCONNECTED:
        ret->kind = RECORDING_DISCONNECTED;
        return true;
    case VRAMSCOPE_LAG:
        ret->kind = RECORDING_SKIPPED;
        ret->skipped = event->skipped > 0 ? (uint64_t)event->skipped : 0;
        return true;
    default:
        return false;
    }
}

static bool may_show_progress(const struct cli *cli)
{
    return isatty(STDERR_FILENO) &&
           !(strcmp(cli->operand, "-") == 0 && isatty(STDOUT_FILENO));
}

/* One line on a terminal, which the next one takes the place of. Numbers alone: no text of
 * others. */
static void show_progress(struct recorder *recorder, const char *end)
{
    (void)dprintf(STDERR_FILENO, "\r%" PRId64 " documents, %" PRIu64 " KiB%s",
                  recorder->documents, recording_written(recorder->writer) / 1024, end);
}

static int take(struct recorder *recorder, size_t which,
                const struct vramscope_event *event)
{
    struct recording_entry entry;
    struct complaint why = {""};
    int r;

    feed_tell(recorder->feed, which, event);
    if (!entry_of(event, &entry))
        return 0;
    r = recording_write(recorder->writer, &entry, &why);
    if (r == -EINVAL || r == -E2BIG) {
        if (recorder->left_out++ == 0)
            cli_message("%s", why.text);
        return 0;
    }
    if (r == 0 && entry.kind == RECORDING_DETAIL)
        recorder->documents++;
    return r; // the file says it again when it is closed
}

/* The earlier of two times, -1 being none. */
static int64_t earlier(int64_t a_ms, int64_t b_ms)
{
    return a_ms < 0 ? b_ms : b_ms < 0 ? a_ms : MIN(a_ms, b_ms);
}

static int follow(struct recorder *recorder)
{
    const struct cli *cli = recorder->cli;
    int r = 0;

    while (r == 0 && (!cli->count || recorder->documents < cli->count)) {
        size_t which = 0;
        const struct vramscope_event *event = feed_wait(
            recorder->feed, earlier(recorder->until_ms, recorder->tell_ms), &which);
        int error = errno;
        int64_t now_ms = feed_now_ms();

        if (event)
            r = take(recorder, which, event);
        else if (error != ETIMEDOUT)
            return error == EINTR ? CLI_OK : CLI_FAILED;
        if (recorder->tell_ms >= 0 && now_ms >= recorder->tell_ms) {
            show_progress(recorder, "");
            recorder->tell_ms = now_ms + PROGRESS_MS;
        }
        if (recorder->until_ms >= 0 && now_ms >= recorder->until_ms)
            break;
    }
    return r < 0 ? CLI_FAILED : CLI_OK;
}

static int record(struct recorder *recorder)
{
    const struct cli *cli = recorder->cli;
    struct complaint why = {""};
    int status;

    if (recording_create(cli->operand, cli->replace, cli->urls[0],
                         (int64_t)clock_unix_ms(), &recorder->writer, &why) < 0) {
        cli_message("%s%s", why.text,
                    cli->replace || access(cli->operand, F_OK) < 0
                        ? ""
                        : "; --replace takes its place");
        return CLI_FAILED;
    }
    status = follow(recorder);
    if (recorder->tell_ms >= 0)
        show_progress(recorder, "\n");
    if (recording_close(recorder->writer, &why) < 0) {
        cli_message("%s; what was saved before can be replayed", why.text);
        status = CLI_FAILED;
    }
    if (recorder->left_out > 0)
        cli_message("%" PRId64 " documents are left out", recorder->left_out);
    return status;
}

int cli_record(const struct cli *cli)
{
    struct vramscope_options options = cli_stream_options(cli);
    struct recorder recorder = {.cli = cli, .until_ms = -1, .tell_ms = -1};
    struct complaint why = {""};
    int status;

    if (cli->n_urls > 1) {
        cli_message("a recording is of one daemon: one --url");
        return CLI_USAGE;
    }
    options.undecoded = true;
    if (feed_open(cli, &options, &recorder.feed, &why) < 0) {
        cli_message("%s", why.text);
        return CLI_FAILED;
    }
    if (cli->duration_ms)
        recorder.until_ms = feed_now_ms() + cli->duration_ms;
    if (may_show_progress(cli))
        recorder.tell_ms = feed_now_ms() + PROGRESS_MS;
    status = record(&recorder);
    feed_close(recorder.feed);
    return status;
}
