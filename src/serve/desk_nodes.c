// SPDX-License-Identifier: Apache-2.0
#include "serve/desk_nodes.h"

#include "serve/answers.h"
#include "serve/parameters.h"

#define AT "%40" // how browsers write the '@' of a name

struct desk_nodes {
    struct node_boards *boards;
    struct board_view_options options;
    bool draining;
    size_t n;
    struct board_view *views[NODE_BOARDS_MAX];
};

int desk_nodes_new(struct node_boards *boards, const struct board_view_options *options,
                   struct desk_nodes **ret)
{
    struct desk_nodes *nodes = calloc(1, sizeof(*nodes));

    if (!nodes)
        return -ENOMEM;
    nodes->boards = boards;
    nodes->options = *options;
    *ret = nodes;
    return 0;
}

void desk_nodes_deliver(struct desk_nodes *nodes)
{
    for (size_t i = 0; nodes && i < nodes->n; i++)
        board_view_deliver(nodes->views[i]);
}

void desk_nodes_drain(struct desk_nodes *nodes)
{
    if (nodes)
        nodes->draining = true;
    for (size_t i = 0; nodes && i < nodes->n; i++)
        board_view_drain(nodes->views[i]);
}

void desk_nodes_close(struct desk_nodes *nodes)
{
    for (size_t i = 0; nodes && i < nodes->n; i++)
        board_view_close(nodes->views[i]);
}

void desk_nodes_free(struct desk_nodes *nodes)
{
    for (size_t i = 0; nodes && i < nodes->n; i++)
        board_view_free(nodes->views[i]);
    free(nodes);
}

/* No other character of a name is ever written in another way. */
static int decode(struct span text, char *name)
{
    size_t n = 0;

    for (size_t i = 0; i < text.len; i++) {
        bool is_at = text.len - i >= strlen(AT) && !memcmp(text.at + i, AT, strlen(AT));

        if (n == FLEET_NAME_SIZE - 1 || text.at[i] == '\0')
            return -EINVAL;
        name[n++] = is_at ? '@' : text.at[i];
        i += is_at ? strlen(AT) - 1 : 0;
    }
    name[n] = '\0';
    return n > 0 ? 1 : -EINVAL;
}

int desk_nodes_read_query(struct span query, char *name)
{
    struct span text;
    int r = parameter_find(query, "node", &text);

    return r <= 0 ? r : decode(text, name);
}

void desk_nodes_answer_bad_name(struct http_conn *conn)
{
    static const struct outage error = {
        "bad-parameter", "\"node\" is the name of a node, of at most 79 bytes, once", ""};

    answer_error(conn, 400, &error, NULL);
}

void desk_nodes_answer_no_gateway(struct http_conn *conn)
{
    static const struct outage error = {
        "no-gateway", "this is no gateway: it knows of one node, which is itself",
        "ask without \"node\", or ask the gateway"};

    answer_error(conn, 404, &error, NULL);
}

static void answer_why_not(struct http_conn *conn, int r, const char *why)
{
    static const struct outage none = {"no-such-node",
                                       "no node of that name publishes to this gateway",
                                       "GET /v1/detail has the names of those that do"};
    static const struct outage busy = {
        "busy", "as many single nodes are being watched here as may be", ""};
    const struct outage ambiguous = {"ambiguous-node", why, ""};

    if (r == -ENOENT)
        answer_error(conn, 404, &none, NULL);
    else if (r == -ENOTUNIQ)
        answer_error(conn, 409, &ambiguous, NULL);
    else if (r == -EBUSY)
        answer_error(conn, 503, &busy, "Retry-After: 5\r\n" ANSWER_NO_STORE);
    else
        answer_failure(conn);
}

static struct board_view *view_of(struct desk_nodes *nodes, struct board *board)
{
    struct board_view_options options = nodes->options;

    for (size_t i = 0; i < nodes->n; i++)
        if (board_view_board(nodes->views[i]) == board)
            return nodes->views[i];
    options.board = board;
    if (board_view_new(&options, &nodes->views[nodes->n]) < 0)
        return NULL;
    if (nodes->draining)
        board_view_drain(nodes->views[nodes->n]);
    return nodes->views[nodes->n++];
}

struct board_view *desk_nodes_find(struct desk_nodes *nodes, const char *name,
                                   struct http_conn *conn)
{
    char why[FLEET_REASON_SIZE] = "";
    struct board *board = NULL;
    struct board_view *view = NULL;
    int r = node_boards_get(nodes->boards, span_of(name), &board, why);

    if (r == 0)
        view = view_of(nodes, board);
    if (!view)
        answer_why_not(conn, r < 0 ? r : -ENOMEM, why);
    return view;
}
