// SPDX-License-Identifier: Apache-2.0
#include "cli/cli_doctor.h"
#include "tui/draw.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    WHAT_SIZE = 600,
    PIDS_SIZE = 256,
    PIDS_SHOWN = 8,
};

#define GIB ((int64_t)1 << 30)

static const struct state_word {
    const char *state;
    enum verdict verdict;
    const char *remedy;
} states[] = {
    {"ready", VERDICT_PASS, ""},
    {"loading", VERDICT_INFO, "It has to finish loading first."},
    {"starting", VERDICT_INFO, "It has to finish starting first."},
    {"sleeping", VERDICT_PASS, ""},
    {"metrics-disabled", VERDICT_FAIL,
     "Start the server as its reason says: there are no metrics otherwise."},
    {"unreachable", VERDICT_FAIL,
     "Look whether the server answers (curl HOST:PORT/v1/models) and at its log; one "
     "that "
     "wants a key needs api_key_file in the daemon's configuration."},
};

static const struct state_word *find_state(const char *state)
{
    static const struct state_word other = {"", VERDICT_WARN,
                                            "Install the same version of vramscope as of "
                                            "vramscoped."};

    for (size_t i = 0; i < ARRAY_LEN(states); i++)
        if (state && strcmp(state, states[i].state) == 0)
            return &states[i];
    return &other;
}

/* Whether it has figures, so that what is missing in them is worth a word. */
static bool look_at_state(struct doctor *doctor, const struct vramscope_model *model,
                          const char *what)
{
    const struct state_word *state = find_state(model->state);
    const char *reason = model->reason ? model->reason : "";
    char age[FIGURE_TEXT_SIZE];

    if (state->verdict == VERDICT_PASS && model->stale) {
        age_text(age, model->age_ms);
        doctor_row(doctor, VERDICT_WARN, what,
                   "The server answers late or not at all: look at its log and its load.",
                   "%s, its figures are %s old", model->state, age);
        return false;
    }
    doctor_row(doctor, state->verdict, what, state->remedy, "%s%s%s",
               model->state ? model->state : "in an unknown state", *reason ? ": " : "",
               reason);
    return state->verdict == VERDICT_PASS;
}

static const char *text_or(const char *text, const char *other)
{
    return text && *text ? text : other;
}

/* What is known of a figure: a row that names what is wrong with it, or that all is well. */
static void look_at_figure(struct doctor *doctor, const char *what, const char *noun,
                           const struct vramscope_figure *figure, const char *reason,
                           const char *remedy)
{
    char value[FIGURE_TEXT_SIZE], error[FIGURE_TEXT_SIZE];
    bool is_vague;

    figure_text(value, figure);
    if (figure->value == VRAMSCOPE_UNKNOWN) {
        doctor_row(doctor, VERDICT_WARN, what, remedy, "%s is not known: %s", noun,
                   text_or(reason, "no reason given"));
        return;
    }
    if (figure->from != VRAMSCOPE_FROM_ESTIMATED) {
        doctor_row(doctor, VERDICT_PASS, what, "", "%s: %s", noun, value);
        return;
    }
    is_vague = figure->error == VRAMSCOPE_UNKNOWN;
    bytes_text(error, figure->error);
    doctor_row(
        doctor, is_vague ? VERDICT_WARN : VERDICT_PASS, what, is_vague ? remedy : "",
        "%s: %s, an estimate, off by %s%s: %s", noun, value,
        is_vague        ? "an unknown amount"
        : *error == '<' ? "less than "
                        : "at most ",
        is_vague ? "" : error + (*error == '<'), text_or(reason, "no reason given"));
}

void doctor_look_at_model(struct doctor *doctor, const struct vramscope_model *model)
{
    char what[WHAT_SIZE];

    (void)snprintf(what, sizeof(what), "%.500s port %" PRId64,
                   text_or(text_or(model->model, model->model_id), "model"), model->port);
    if (!look_at_state(doctor, model, what))
        return;
    look_at_figure(doctor, what, "GPU memory", &model->allocated, model->allocated.reason,
                   "Run the daemon where it sees the host's processes: as root or with "
                   "CAP_SYS_PTRACE, a container of it with --pid=host.");
    look_at_figure(
        doctor, what, "KV cache in use", &model->kv_used,
        text_or(model->kv_used.reason, model->kv_reason),
        "Set kv_bytes_per_block for this engine in the daemon's configuration, "
        "or run the daemon as root or as the server's user.");
}

/* The processes that `is_meant`, as "12, 34 and 3 more"; how many there are. */
static size_t list_pids(const struct vramscope_detail *detail,
                        bool (*is_meant)(const struct vramscope_process *process),
                        char ret[PIDS_SIZE])
{
    size_t n = 0, len = 0;

    ret[0] = '\0';
    for (size_t i = 0; i < detail->n_processes; i++) {
        if (!is_meant(detail->processes[i]))
            continue;
        if (n++ < PIDS_SHOWN)
            len += (size_t)snprintf(ret + len, PIDS_SIZE - len, "%s%" PRId64,
                                    n > 1 ? ", " : "", detail->processes[i]->pid);
    }
    if (n > PIDS_SHOWN)
        (void)snprintf(ret + len, PIDS_SIZE - len, " and %zu more", n - PIDS_SHOWN);
    return n;
}

static bool is_orphan(const struct vramscope_process *process)
{
    return process->owner && strcmp(process->owner, "orphan") == 0;
}

static bool is_hidden(const struct vramscope_process *process)
{
    return !process->comm;
}

static bool is_mute(const struct vramscope_process *process)
{
    return process->bytes == VRAMSCOPE_UNKNOWN;
}

static void look_at_processes(struct doctor *doctor,
                              const struct vramscope_detail *detail)
{
    char pids[PIDS_SIZE];
    bool is_well = true;

    if (list_pids(detail, is_hidden, pids) > 0) {
        doctor_row(doctor, VERDICT_WARN, "processes",
                   "Run the daemon on the host, or its container with --pid=host.",
                   "the driver names some that are hidden from the daemon: %s", pids);
        is_well = false;
    }
    if (list_pids(detail, is_mute, pids) > 0) {
        doctor_row(doctor, VERDICT_WARN, "processes",
                   "The driver hides it, as in containers and virtual machines: run the "
                   "daemon on the host.",
                   "the memory of some is not known: %s", pids);
        is_well = false;
    }
    if (is_well)
        doctor_row(doctor, VERDICT_PASS, "processes", "", "%zu hold GPU memory, all seen",
                   detail->n_processes);
}

static void look_at_orphans(struct doctor *doctor, const struct vramscope_detail *detail)
{
    char bytes[FIGURE_TEXT_SIZE], pids[PIDS_SIZE];

    if (detail->orphan_bytes == VRAMSCOPE_UNKNOWN || detail->orphan_bytes <= 0) {
        doctor_row(doctor, VERDICT_PASS, "orphans", "",
                   "no memory of servers that are gone");
        return;
    }
    bytes_text(bytes, detail->orphan_bytes);
    (void)list_pids(detail, is_orphan, pids);
    doctor_row(doctor, VERDICT_WARN, "orphans",
               "Workers of vLLM whose server is gone: look at them (ps -fp PID) and end "
               "them, or their memory stays taken.",
               "%s held by %s", bytes, *pids ? pids : "processes not listed");
}

/* More than a twentieth of all, and than the driver takes for itself. */
static void look_at_rest(struct doctor *doctor, const struct vramscope_detail *detail)
{
    int64_t rest = detail->unattributed_bytes, total = detail->total.value;
    char bytes[FIGURE_TEXT_SIZE];
    bool is_large;

    if (rest == VRAMSCOPE_UNKNOWN || total == VRAMSCOPE_UNKNOWN)
        return;
    is_large = rest > MAX(total / 20, GIB) || rest < -MAX(total / 20, GIB);
    bytes_text(bytes, rest < 0 ? -rest : rest);
    if (!is_large)
        doctor_row(doctor, VERDICT_PASS, "unattributed memory", "", "%s%s",
                   rest < 0 ? "-" : "", bytes);
    else if (rest < 0)
        doctor_row(
            doctor, VERDICT_WARN, "unattributed memory",
            "Processes share memory, or the driver's list is older than its totals.",
            "the driver's list of processes has %s more than is in use", bytes);
    else
        doctor_row(doctor, VERDICT_WARN, "unattributed memory",
                   "Processes that the driver does not list, as of other containers or "
                   "virtual machines: run the daemon on the host.",
                   "%s are in use by no process that the driver lists", bytes);
}

void doctor_look_at_memory(struct doctor *doctor, const struct vramscope_detail *detail)
{
    if (detail->n_sources == 0)
        return; // no GPU, no memory of it
    look_at_processes(doctor, detail);
    look_at_orphans(doctor, detail);
    look_at_rest(doctor, detail);
}
