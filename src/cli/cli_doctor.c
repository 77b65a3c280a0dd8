// SPDX-License-Identifier: Apache-2.0
#include "cli/cli_doctor.h"

#include "cli/cli_feed.h"
#include "cli/cli_get.h"
#include "cli/cli_json.h"
#include "cli/cli_output.h"

#include <langinfo.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

enum { ROW_MAX = 2048, WHAT_WIDTH = 28, WHAT_WIDTH_MAX = 72 };

static const struct {
    const char *word; // on a screen
    const char *name; // in JSON: information passes
    enum cli_look look;
} verdicts[] = {
    [VERDICT_INFO] = {"INFO", "pass", LOOK_PLAIN},
    [VERDICT_PASS] = {"PASS", "pass", LOOK_GOOD},
    [VERDICT_WARN] = {"WARN", "warn", LOOK_BAD},
    [VERDICT_FAIL] = {"FAIL", "fail", LOOK_WORST},
};

static void keep_row(struct doctor *doctor, enum verdict verdict, const char *what,
                     const char *remedy, const char *found)
{
    json_t *row =
        json_pack("{s:s,s:o,s:o,s:o,s:o}", "status", verdicts[verdict].name, "url",
                  cli_json_text(doctor->url), "what", cli_json_text(what), "found",
                  cli_json_text(found), "remedy", cli_json_text(*remedy ? remedy : NULL));

    if (json_array_append_new(doctor->rows, row) < 0) // takes NULL for an error
        doctor->no_memory = true;
}

void doctor_row(struct doctor *doctor, enum verdict verdict, const char *what,
                const char *remedy, const char *format, ...)
{
    const size_t narrowest = WHAT_WIDTH, widest = WHAT_WIDTH_MAX;
    size_t width = MAX(strlen(what), narrowest);
    char found[ROW_MAX];
    struct buf cell;
    va_list args;

    va_start(args, format);
    (void)vsnprintf(found, sizeof(found), format, args);
    va_end(args);
    doctor->worst = MAX(doctor->worst, verdict);
    if (doctor->cli->json) {
        keep_row(doctor, verdict, what, remedy, found);
        return;
    }
    buf_init(&cell, ROW_MAX);
    cli_add_cell(&cell, (int)MIN(width, widest), what);
    cli_print_word(verdicts[verdict].look, verdicts[verdict].word, "  %.*s %s",
                   (int)cell.len, cell.data, found);
    if (*remedy)
        cli_print("      %*s %s", WHAT_WIDTH, "", remedy);
    (void)cli_flush(); // a slow daemon comes next; the error sticks
    buf_done(&cell);
}

/* What helps against an error of vramscope_get(). */
static const char *remedy_for(int error, const char *url)
{
    bool is_https = strncmp(url, "https:", 6) == 0;

    switch (error) {
    case -ECONNREFUSED:
    case -ENOENT:
        return "Is vramscoped running (systemctl status vramscoped), and is this where "
               "it "
               "listens (--listen; 127.0.0.1:6767 by default)?";
    case -ETIMEDOUT:
        return "Something there takes connections and does not answer, or drops packets: "
               "look at firewalls, and at the daemon's log.";
    case -EPROTO:
        return is_https ? "Does the daemon serve HTTPS (--tls-cert)? Where not, the URL "
                          "begins with http://. A certificate that the system does not "
                          "know needs --ca-file."
                        : "Is that a vramscoped, and does it serve plain HTTP? Where it "
                          "has --tls-cert the URL begins with https://.";
    case -EINVAL:
        return "A URL is http://HOST:PORT, https://HOST:PORT or unix:PATH; a token is "
               "one "
               "line of visible ASCII characters.";
    default:
        return "Look whether the host's name is right and whether it can be reached.";
    }
}

/* What helps against a status, where the daemon does not say. */
static const char *remedy_for_status(const struct cli *cli, int status)
{
    switch (status) {
    case 400:
        return "Where the daemon has --tls-cert the URL begins with https://.";
    case 401:
        return cli->token_file ? "The token in --token-file is not the daemon's."
                               : "The daemon wants a token: name the file that holds it "
                                 "with --token-file.";
    case 421:
        return "Start the daemon with --allow-host for the name in this URL, or use an "
               "address in it.";
    case 429:
        return "Too many wrong tokens: wait a second.";
    case 404:
        return "That is another server than vramscoped, or an older one.";
    default:
        return "Look at the daemon's log.";
    }
}

static void tell_status(struct doctor *doctor, const struct vramscope_answer *answer)
{
    struct complaint reason, remedy;

    if (!cli_answer_error(answer, &reason, &remedy))
        (void)complain(&remedy, 0, "%s", remedy_for_status(doctor->cli, answer->status));
    doctor_row(doctor, VERDICT_FAIL, "daemon", remedy.text, "%s", reason.text);
}

static bool is_the_daemon(const struct vramscope_answer *answer)
{
    json_t *object = cli_answer_json(answer);
    const char *name = json_string_value(json_object_get(object, "name"));
    bool is_it = name && strcmp(name, "vramscoped") == 0;

    json_decref(object);
    return is_it;
}

/* Whether it answers as a daemon does, to who we are. */
static bool look_at_daemon(struct doctor *doctor)
{
    struct vramscope_options options = cli_connection(doctor->cli);
    struct complaint why = {""};
    struct vramscope_answer *answer;
    bool is_well = false;
    int r = vramscope_get(doctor->url, &options, "/version", CLI_GET_MS, &answer,
                          why.text, sizeof(why.text));

    if (r < 0) {
        doctor_row(doctor, VERDICT_FAIL, "daemon", remedy_for(r, doctor->url), "%s",
                   *why.text ? why.text : strerror(-r));
        return false;
    }
    if (answer->status != 200) {
        tell_status(doctor, answer);
    } else if (!is_the_daemon(answer)) {
        doctor_row(doctor, VERDICT_FAIL, "daemon",
                   "Is the port right? vramscoped is at 6767 by default.",
                   "something answers there that is no vramscoped");
    } else {
        doctor_row(doctor, VERDICT_PASS, "daemon", "", "vramscoped answers");
        is_well = true;
    }
    vramscope_answer_free(answer);
    return is_well;
}

static void look_at_newest(struct doctor *doctor, const struct newest *newest)
{
    const char *remedy = newest->remedy.text;

    if (newest->detail) {
        doctor_look_at_detail(doctor, newest->detail);
        return;
    }
    if (!*remedy)
        remedy = doctor_remedy_for_node(newest->code);
    if (!*remedy)
        remedy = newest->status == 404 ? "The daemon is older than this program: install "
                                         "the same version."
                                       : "Look at the daemon's log.";
    doctor_row(doctor, VERDICT_FAIL, "figures", remedy, "%s%s%s%s", newest->reason.text,
               *newest->code ? " (" : "", newest->code, *newest->code ? ")" : "");
}

static void look_at_file(struct doctor *doctor, const char *what, const char *path)
{
    struct stat facts;

    if (!path)
        return;
    if (access(path, R_OK) < 0 || stat(path, &facts) < 0)
        doctor_row(doctor, VERDICT_FAIL, what,
                   "It must be a file that this user may read.", "%s: %s", path,
                   strerror(errno));
    else if (facts.st_size == 0 && S_ISREG(facts.st_mode))
        doctor_row(doctor, VERDICT_FAIL, what, "Is that the right file?", "%s is empty",
                   path);
    else
        doctor_row(doctor, VERDICT_PASS, what, "", "%s can be read", path);
}

static void look_at_terminal(struct doctor *doctor)
{
    const struct cli *cli = doctor->cli;
    const char *codeset = nl_langinfo(CODESET), *term = getenv("TERM");

    doctor_row(doctor, VERDICT_INFO, "characters",
               cli->ascii ? "For graphs in full, a locale with UTF-8 (LC_ALL=C.UTF-8)."
                          : "",
               "%s, %s", codeset, cli->ascii ? "ASCII alone is shown" : "all are shown");
    doctor_row(doctor, VERDICT_INFO, "terminal", "", "TERM=%s, %s",
               term && *term ? term : "(not set)",
               !isatty(STDOUT_FILENO) ? "stdout is none"
               : cli->colours         ? "with colours"
                                      : "without colours");
}

static void print_heading(const struct doctor *doctor, bool apart, const char *heading)
{
    if (doctor->cli->json)
        return;
    if (apart)
        cli_print("%s", "");
    cli_print("%s", heading);
}

static void look_at_daemons(struct doctor *doctor, const struct newest *newest)
{
    const struct cli *cli = doctor->cli;

    for (size_t i = 0; i < cli->n_urls; i++) {
        doctor->url = cli->urls[i];
        print_heading(doctor, i > 0, cli->urls[i]);
        if (look_at_daemon(doctor))
            look_at_newest(doctor, &newest[i]);
    }
    doctor->url = NULL;
    print_heading(doctor, true, "this program");
}

static int finish(struct doctor *doctor)
{
    static const int statuses[] = {0, 0, 1, 2};

    if (doctor->no_memory) {
        json_decref(doctor->rows);
        cli_message("out of memory");
        return CLI_FAILED;
    }
    if (doctor->cli->json &&
        cli_print_value(json_pack("{s:o}", "checks", doctor->rows)) < 0)
        return CLI_FAILED;
    return statuses[doctor->worst];
}

int cli_doctor(const struct cli *cli)
{
    struct doctor doctor = {.cli = cli, .rows = cli->json ? json_array() : NULL};
    struct complaint why;
    struct newest *newest;

    if (feed_newest(cli, false, CLI_WITHIN_MS, &newest, &why) < 0) {
        json_decref(doctor.rows);
        cli_message("%s", why.text);
        return CLI_USAGE;
    }
    look_at_daemons(&doctor, newest);
    look_at_file(&doctor, "token file", cli->token_file);
    look_at_file(&doctor, "CA file", cli->ca_file);
    look_at_terminal(&doctor);
    newest_free(newest, cli->n_urls);
    return finish(&doctor);
}
