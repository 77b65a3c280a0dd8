// SPDX-License-Identifier: Apache-2.0
/*
 * view.h - what the person looks at: which screen, which rows, in which order
 *
 * Pure state: keys change it (view_key), documents come through its hosts, draw.h draws it.
 * No key acts on an engine.
 */
#ifndef TUI_VIEW_H
#define TUI_VIEW_H

#include "tui/filter.h"
#include "tui/host.h"
#include "tui/key.h"
#include "tui/node_table.h"
#include "tui/theme.h"

enum {
    VIEW_HOSTS_MAX = 64,
    VIEW_ROWS_MAX = 4096,
    VIEW_INPUT_SIZE = 128,
    VIEW_REFRESH_MIN_MS = 100,
    VIEW_REFRESH_MAX_MS = 10000,
};

enum screen {
    SCREEN_MODELS,
    SCREEN_DEVICES,
    SCREEN_PROCESSES,
    SCREEN_EVENTS,
    SCREEN_NODES, // with a gateway, of which it is the first
    N_SCREENS
};

/* Over the screen, a later one over an earlier one; closed by Esc. */
enum pane { PANE_NONE, PANE_DETAIL, PANE_EXPLAIN, PANE_NODE, PANE_HELP };

enum column {
    COLUMN_HOST, // only with several hosts
    COLUMN_MODEL,
    COLUMN_PORT,
    COLUMN_GPUS,
    COLUMN_STATE,
    COLUMN_VRAM,
    COLUMN_KV_USED,
    COLUMN_KV_CAPACITY,
    COLUMN_KV_PERCENT,
    COLUMN_HIT,
    COLUMN_RUNNING,
    COLUMN_WAITING,
    COLUMN_PREEMPTED,
    COLUMN_AGE,
    N_COLUMNS,
};

/* A line of the model table; pointers are valid until the next view_refresh(). */
struct row {
    const struct host *host;
    const struct vramscope_model *model;
    uint32_t host_index; // of view->hosts and view->shown
    uint32_t at;         // model's place in the document
};

/* What is typed for a table, and what was understood of it. */
struct typed {
    char input[VIEW_INPUT_SIZE];
    struct filter filter;
    char fault[VIEW_INPUT_SIZE];
};

struct view {
    struct host **hosts; // lent
    size_t n_hosts;

    /*
     * The documents on the screen, a reference each; NULL: none. All that is drawn of a
     * document comes from here and not from hosts[i]->detail, which goes on in a pause.
     */
    const struct vramscope_detail *shown[VIEW_HOSTS_MAX];

    struct row rows[VIEW_ROWS_MAX]; // as shown: filtered and sorted
    size_t n_rows;
    size_t n_rows_hidden; // by the filter, or beyond the maximum

    struct node_table nodes;
    bool has_gateway;    // among those that are shown,
    bool has_host;       // and one that is none
    bool has_moved;      // the person has gone to a screen
    bool opens_nodes;    // WISH_OPEN is heard
    const char *gateway; // whose node this is a view of, lent; NULL: not of a node

    enum screen screen;
    enum pane pane; // the uppermost
    unsigned panes; // those that are open, a bit each
    enum column sort;
    bool reverse;
    size_t selected; // of `rows`; the model is followed, wherever sorting moves it
    char selected_id[512];
    int64_t selected_port;
    const struct host *selected_host;
    size_t top;             // first line shown of the screen or pane
    size_t lines;           // of the screen or pane, set by drawing
    size_t page;            // of them, as many have room; set by drawing
    size_t tops[N_SCREENS]; // `top` of the screens that are not seen
    bool paused;            // documents are taken in, the screen stays
    bool is_recording;      // a recording is played: its keys are active
    bool held;              // and stands still
    bool is_over;           // it has come to its end

    bool typing; // the filter
    char input[VIEW_INPUT_SIZE];
    struct filter filter;
    char filter_fault[VIEW_INPUT_SIZE]; // "": the filter is understood
    struct typed
        other; // of the nodes, while the models' is above; and the other way round

    const struct theme *theme;
    enum glyphs glyphs;
    int refresh_ms;      // at least so long between two drawings; + and - change it
    int64_t now_unix_ms; // of what is shown
    bool quit;
};

/* What the caller has to do after a key. */
enum view_wish {
    WISH_NOTHING,
    WISH_WRITE,  // a snapshot of the screen into a file
    WISH_FASTER, // play the recording so, or
    WISH_SLOWER,
    WISH_BACK, // by ten seconds
    WISH_FORWARD,
    WISH_HOLD,  // or go on
    WISH_OPEN,  // the chosen node
    WISH_LEAVE, // it, for its gateway
};

/* At most VIEW_HOSTS_MAX hosts are shown. view_done() before they are freed. */
void view_init(struct view *view, struct host **hosts, size_t n_hosts);
void view_done(struct view *view);

/* Make the rows anew from the hosts' newest documents; the choice stays on its model. */
void view_refresh(struct view *view, int64_t now_unix_ms);

/* A key: a sign of Unicode, or a code. The rows are in order again afterwards. */
enum view_wish view_key(struct view *view, int key);

/* The chosen row; NULL: there is none. */
const struct row *view_chosen(const struct view *view);

/* Whether there is anything that a screen would show; which is the first of those. */
bool view_has(const struct view *view, enum screen screen);
enum screen view_home(const struct view *view);

/* What a column is called, and whether a larger value comes first by itself. */
const char *column_name(enum column column);
bool column_falls(enum column column);

#endif
