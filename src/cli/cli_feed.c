// SPDX-License-Identifier: Apache-2.0
#include "cli/cli_feed.h"

#include "base/clock.h"
#include "cli/cli_output.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>

enum {
    TELL_EVERY_MS = 10 * 1000, // of one thing, whatever a daemon says
};

/* What is told of a daemon on stderr. */
enum telling { TELL_REASON, TELL_LAG, TELL_UNREADABLE, N_TELLINGS };

struct follow {
    struct vramscope *scope; // NULL: dropped
    char name[CLI_SOURCE_SIZE];
    bool is_over;                // it will not say more
    bool was_reached;            // it has answered something, some time
    bool is_unreached;           // and not at the first attempt
    int64_t told_ms[N_TELLINGS]; // by feed_now_ms(); 0: never
    struct complaint told;       // what keeps documents from coming; "": nothing
};

struct feed {
    struct follow follows[CLI_URLS_MAX];
    size_t n;
    size_t next; // who is asked first, so that none is kept waiting by another
};

/* What a signal says, and the descriptor that wakes a wait. Of the process. */
static volatile sig_atomic_t is_interrupted;
static int wake_fd = -1;

static void interrupt(int number)
{
    uint64_t one = 1;
    int before = errno;

    (void)number;
    is_interrupted = 1;
    (void)!write(wake_fd, &one, sizeof(one)); // full is awake, too
    errno = before;
}

/* A second signal ends the program at once, whatever it is waiting in. */
static int take_signals(void)
{
    struct sigaction action = {.sa_handler = interrupt, .sa_flags = (int)SA_RESETHAND};

    if (wake_fd < 0)
        wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wake_fd < 0)
        return neg_errno();
    (void)sigemptyset(&action.sa_mask);
    if (sigaction(SIGINT, &action, NULL) < 0 || sigaction(SIGTERM, &action, NULL) < 0)
        return neg_errno();
    return 0;
}

int64_t feed_now_ms(void)
{
    return (int64_t)(clock_now_ns() / NS_PER_MS);
}

int feed_open(const struct cli *cli, const struct vramscope_options *options,
              struct feed **ret, struct complaint *why)
{
    struct feed *feed = calloc(1, sizeof(*feed));
    int r = feed ? take_signals() : -ENOMEM;

    if (r < 0) {
        free(feed);
        return complain(why, r, "%s", strerror(-r));
    }
    for (; feed->n < cli->n_urls; feed->n++) {
        struct follow *follow = &feed->follows[feed->n];

        cli_source_name(follow->name, cli, cli->urls[feed->n]);
        r = vramscope_open(cli->urls[feed->n], options, &follow->scope);
        if (r < 0) {
            (void)complain(why, r, "%s: %s", cli->urls[feed->n],
                           r == -EINVAL ? "not the URL of a daemon" : strerror(-r));
            feed_close(feed);
            return r;
        }
    }
    *ret = feed;
    return 0;
}

void feed_close(struct feed *feed)
{
    if (!feed)
        return;
    for (size_t i = 0; i < feed->n; i++)
        vramscope_close(feed->follows[i].scope);
    free(feed);
    (void)signal(SIGINT, SIG_DFL); // nothing would take notice any more
    (void)signal(SIGTERM, SIG_DFL);
}

void feed_drop(struct feed *feed, size_t which)
{
    vramscope_close(feed->follows[which].scope);
    feed->follows[which].scope = NULL;
}

static void note(struct follow *follow, const struct vramscope_event *event)
{
    bool is_lost = event->type == VRAMSCOPE_DISCONNECTED;

    follow->was_reached = follow->was_reached || !is_lost || event->status;
    follow->is_unreached = !follow->was_reached;
    follow->is_over = is_lost && event->retry_ms < 0;
}

static bool is_hopeless(const struct feed *feed)
{
    for (size_t i = 0; i < feed->n; i++)
        if (feed->follows[i].scope && !feed->follows[i].is_unreached)
            return false;
    return true;
}

static const struct vramscope_event *look(struct feed *feed, size_t *which)
{
    for (size_t i = 0; i < feed->n; i++) {
        size_t at = (feed->next + i) % feed->n;
        struct follow *follow = &feed->follows[at];
        const struct vramscope_event *event =
            follow->scope ? vramscope_next(follow->scope) : NULL;

        if (!event)
            continue;
        note(follow, event);
        feed->next = at + 1;
        *which = at;
        return event;
    }
    return NULL;
}

/* Wait until one of them is due, and let all do what they have to. False: none is left. */
static bool turn(struct feed *feed, int64_t timeout_ms)
{
    struct pollfd fds[CLI_URLS_MAX + 1];
    nfds_t n = 0;

    for (size_t i = 0; i < feed->n; i++) {
        const struct follow *follow = &feed->follows[i];
        int due_ms;

        if (!follow->scope || follow->is_over)
            continue;
        fds[n++] = (struct pollfd){vramscope_fd(follow->scope), POLLIN, 0};
        due_ms = vramscope_timeout_ms(follow->scope);
        if (due_ms >= 0 && (timeout_ms < 0 || due_ms < timeout_ms))
            timeout_ms = due_ms;
    }
    if (n == 0)
        return false;
    fds[n++] = (struct pollfd){wake_fd, POLLIN, 0};
    (void)poll(fds, n, (int)MIN(timeout_ms, (int64_t)INT32_MAX));
    for (size_t i = 0; i < feed->n; i++)
        if (feed->follows[i].scope && !feed->follows[i].is_over)
            (void)vramscope_process(
                feed->follows[i].scope); // tried again at the next turn
    return true;
}

const struct vramscope_event *feed_wait(struct feed *feed, int64_t deadline_ms,
                                        size_t *which)
{
    for (;;) {
        int64_t left_ms = deadline_ms < 0 ? -1 : MAX(deadline_ms - feed_now_ms(), 0);
        const struct vramscope_event *event = is_interrupted ? NULL : look(feed, which);

        if (event)
            return event;
        errno = is_interrupted ? EINTR : ETIMEDOUT;
        if (is_interrupted || left_ms == 0)
            return NULL;
        if (is_hopeless(feed) || !turn(feed, left_ms)) {
            errno = ENOTCONN;
            return NULL;
        }
    }
}

static bool may_tell(struct follow *follow, enum telling what)
{
    int64_t now_ms = feed_now_ms(), before_ms = follow->told_ms[what];

    if (before_ms && now_ms - before_ms < TELL_EVERY_MS)
        return false;
    follow->told_ms[what] = now_ms;
    return true;
}

/* Once for each reason, and not each time when its words change with each document. */
static void tell(struct follow *follow, const char *what, const char *remedy)
{
    if (strcmp(follow->told.text, what) == 0 || !may_tell(follow, TELL_REASON))
        return;
    (void)complain(&follow->told, 0, "%s", what);
    cli_message("%s: %s%s%s", follow->name, what, remedy ? ". " : "",
                remedy ? remedy : "");
}

void feed_tell(struct feed *feed, size_t which, const struct vramscope_event *event)
{
    struct follow *follow = &feed->follows[which];
    const char *reason = event->reason ? event->reason : "no reason given";

    switch (event->type) {
    case VRAMSCOPE_SNAPSHOT:
    case VRAMSCOPE_DETAIL:
        if (event->detail && event->detail->outage) {
            tell(follow, cli_outage_text(event->detail), event->detail->outage->remedy);
            break;
        }
        if (*follow->told.text)
            cli_message("%s: figures again", follow->name);
        follow->told.text[0] = '\0';
        break;
    case VRAMSCOPE_LAG:
        if (!may_tell(follow, TELL_LAG))
            break;
        cli_message("%s: %lld documents were left out, as this program is too slow",
                    follow->name, (long long)event->skipped);
        break;
    case VRAMSCOPE_NO_DATA:
    case VRAMSCOPE_DISCONNECTED:
        tell(follow, reason, event->remedy);
        break;
    case VRAMSCOPE_UNREADABLE:
        if (!may_tell(follow, TELL_UNREADABLE))
            break;
        cli_message("%s: an event that cannot be read: %s", follow->name, reason);
        break;
    default:
        break;
    }
}

static void take_reason(struct newest *newest, const struct vramscope_event *event)
{
    newest->status = event->status;
    (void)complain(&newest->reason, 0, "%s", event->reason ? event->reason : "no answer");
    (void)snprintf(newest->code, sizeof(newest->code), "%s",
                   event->code ? event->code : "");
    (void)complain(&newest->remedy, 0, "%s", event->remedy ? event->remedy : "");
}

static int take_document(struct newest *newest, const struct vramscope_event *event,
                         bool with_json)
{
    if (with_json) {
        newest->json = strndup(event->data, event->data_len);
        if (!newest->json)
            return -ENOMEM;
        newest->json_len = event->data_len;
    }
    newest->detail = vramscope_detail_ref(event->detail);
    newest->status = event->status ? event->status : 200;
    return 0;
}

/* 1: that one has said what there is to know. */
static int take(struct newest *newest, const struct vramscope_event *event,
                bool with_json)
{
    int r = 0;

    switch (event->type) {
    case VRAMSCOPE_DETAIL:
        r = take_document(newest, event, with_json);
        return r < 0 ? r : 1;
    case VRAMSCOPE_NO_DATA:
    case VRAMSCOPE_UNREADABLE:
        take_reason(newest, event);
        return 1;
    case VRAMSCOPE_DISCONNECTED:
        if (!*newest->reason.text)
            take_reason(newest, event);
        return 1;
    default:
        return 0;
    }
}

/* Until each has said what there is to know, or time is up. */
static int gather(struct feed *feed, bool with_json, int64_t deadline_ms,
                  struct newest *ret)
{
    for (;;) {
        size_t which;
        const struct vramscope_event *event = feed_wait(feed, deadline_ms, &which);
        int r = event ? take(&ret[which], event, with_json) : 0;

        if (!event || r < 0)
            return r;
        if (r == 1)
            feed_drop(feed, which);
    }
}

int feed_newest(const struct cli *cli, bool with_json, int64_t within_ms,
                struct newest **ret, struct complaint *why)
{
    struct vramscope_options options = cli_stream_options(cli);
    struct newest *newest = calloc(cli->n_urls, sizeof(*newest));
    struct feed *feed = NULL;
    int r;

    options.once = true;
    if (!newest)
        return complain(why, -ENOMEM, "out of memory");
    r = feed_open(cli, &options, &feed, why);
    if (r == 0) {
        r = gather(feed, with_json, feed_now_ms() + within_ms, newest);
        if (r < 0)
            (void)complain(why, r, "%s", strerror(-r));
    }
    feed_close(feed);
    if (r < 0) {
        newest_free(newest, cli->n_urls);
        return r;
    }
    for (size_t i = 0; i < cli->n_urls; i++)
        if (!newest[i].detail && !*newest[i].reason.text)
            (void)complain(&newest[i].reason, 0,
                           is_interrupted ? "interrupted" : "no figures within %lld s",
                           (long long)(within_ms / 1000));
    *ret = newest;
    return 0;
}

void newest_free(struct newest *newest, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        vramscope_detail_unref(newest[i].detail);
        free(newest[i].json);
    }
    free(newest);
}
