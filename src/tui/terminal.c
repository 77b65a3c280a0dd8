// SPDX-License-Identifier: Apache-2.0
#include "tui/terminal.h"

#include "tui/key.h"
#include "tui/terminal_signals.h"

#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <wchar.h>

#define NCURSES_WIDECHAR 1
#define NCURSES_NOMACROS
#include <curses.h>
#include <term.h>
#undef columns // the capability

enum {
    ESCAPE_MS = 25, // after Esc, for the rest of a key's sequence
    USUAL_ROWS = 24,
    USUAL_COLUMNS = 80,
    CONTROL_L = 'L' & 0x1f,
    SIGN_LENGTH = 4, // characters of a sign, with a NUL
};

enum depth {
    DEPTH_MONO = 0,
    DEPTH_BASIC = 8,
    DEPTH_BRIGHT = 16,
    DEPTH_PALETTE = 256,
    DEPTH_RGB = 1 << 24
};

struct terminal {
    FILE *in, *out;
    SCREEN *screen;
    WINDOW *keys; // a pad: reading from stdscr would also draw it
    enum depth depth;
    bool ascii;
    bool is_ours; // not while we are stopped
    bool again;   // show every cell, whatever was shown
    struct termios before;
    struct rescue rescue;
    struct canvas shown;
    const struct theme *theme; // whose colours are set
    attr_t attributes[N_STYLES];
};

static FILE *open_copy(int fd, const char *mode)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    FILE *file = copy < 0 ? NULL : fdopen(copy, mode);

    if (!file && copy >= 0)
        (void)close(copy);
    return file;
}

/* curses' own way to say no is a line on stderr and exit(). */
static int check_type(struct complaint *why)
{
    const char *type = getenv("TERM");
    bool can_move;
    int r = 0;

    if (!type || !*type)
        return complain(
            why, -ENOTSUP,
            "TERM is not set, so what this terminal can do is not known; use --once");
    if (setupterm(NULL, STDOUT_FILENO, &r) != OK)
        return complain(
            why, -ENOTSUP,
            "terminfo does not know the terminal \"%.32s\" (TERM); use --once", type);
    can_move = tigetstr("cup") != NULL && tigetflag("hc") <= 0 && tigetflag("gn") <= 0;
    (void)del_curterm(cur_term);
    if (!can_move)
        return complain(
            why, -ENOTSUP,
            "a terminal of the type \"%.32s\" (TERM) can show no screen; use --once",
            type);
    return 0;
}

static enum depth depth_of(bool colours)
{
    if (!colours || !has_colors() || start_color() != OK)
        return DEPTH_MONO;
    if (COLORS >= DEPTH_RGB)
        return DEPTH_RGB;
    if (COLORS >= DEPTH_PALETTE)
        return DEPTH_PALETTE;
    if (COLORS >= DEPTH_BRIGHT)
        return DEPTH_BRIGHT;
    return COLORS >= DEPTH_BASIC ? DEPTH_BASIC : DEPTH_MONO;
}

static struct rescue *collecting;

static int collect(int c)
{
    if (collecting->len < sizeof(collecting->text))
        collecting->text[collecting->len++] = (char)c;
    return c;
}

/* What the terminal's type has for: keys, looks and colours as usual, cursor, first screen. */
static void make_rescue(struct terminal *terminal)
{
    static const char *const names[] = {"rmkx", "sgr0", "op", "cnorm", "rmcup"};

    terminal->rescue.fd = fileno(terminal->out);
    terminal->rescue.before = terminal->before;
    collecting = &terminal->rescue;
    (void)collect('\x18'); // ends an escape sequence that is half written
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const char *text = tigetstr(names[i]);

        if (text && text != (char *)-1)
            (void)tputs(text, 1, collect);
    }
    (void)collect('\r');
    (void)collect('\n');
    collecting = NULL;
}

/*
 * Cursor keys as they are in the terminal's other mode, whichever that is: not all change
 * their mode when they are told to.
 */
static void add_keys(void)
{
    static const struct {
        const char *text;
        int key;
    } keys[] = {
        {"\033[A", KEY_UP},   {"\033OA", KEY_UP},    {"\033[B", KEY_DOWN},
        {"\033OB", KEY_DOWN}, {"\033[C", KEY_RIGHT}, {"\033OC", KEY_RIGHT},
        {"\033[D", KEY_LEFT}, {"\033OD", KEY_LEFT},  {"\033[H", KEY_HOME},
        {"\033OH", KEY_HOME}, {"\033[F", KEY_END},   {"\033OF", KEY_END},
    };

    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (key_defined(keys[i].text) == 0)
            (void)define_key(keys[i].text, keys[i].key);
}

static int set_modes(struct terminal *terminal, bool colours)
{
    terminal->keys = newpad(1, 1);
    if (!terminal->keys)
        return -ENOMEM;
    (void)cbreak();
    (void)noecho();
    (void)nonl();
    (void)set_escdelay(ESCAPE_MS);
    (void)typeahead(-1); // what is shown does not wait for what is typed
    (void)keypad(terminal->keys, TRUE);
    (void)nodelay(terminal->keys, TRUE);
    add_keys();
    (void)leaveok(stdscr, TRUE);
    (void)curs_set(0);
    terminal->depth = depth_of(colours);
    if (terminal->depth != DEPTH_MONO && use_default_colors() != OK)
        terminal->depth = DEPTH_MONO; // ours would be laid over a background not ours
    return 0;
}

static int start_curses(struct terminal *terminal, bool colours)
{
    terminal->screen = newterm(NULL, terminal->out, terminal->in);
    if (!terminal->screen)
        return -ENOMEM; // its type is known
    terminal->is_ours = true;
    make_rescue(terminal);
    signals_set_rescue(&terminal->rescue);
    return set_modes(terminal, colours);
}

static void close_terminal(struct terminal **terminal)
{
    terminal_close(*terminal);
}

int terminal_open(bool colours, struct terminal **ret, struct complaint *why)
{
    OWNED(close_terminal) struct terminal *terminal = NULL;
    int r;

    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        return complain(why, -EINVAL, "stdin or stdout is not a terminal; use --once");
    (void)setlocale(LC_CTYPE, ""); // which curses goes by
    r = check_type(why);
    if (r < 0)
        return r;
    terminal = calloc(1, sizeof(*terminal));
    if (!terminal)
        return complain(why, -ENOMEM, "out of memory");

    terminal->ascii = strcmp(nl_langinfo(CODESET), "UTF-8") != 0;
    terminal->in = open_copy(STDIN_FILENO, "r");
    terminal->out = open_copy(STDOUT_FILENO, "w");
    if (!terminal->in || !terminal->out ||
        tcgetattr(STDOUT_FILENO, &terminal->before) < 0)
        return complain(why, neg_errno(), "the terminal: %s", strerror(errno));
    r = start_curses(terminal, colours);
    if (r < 0)
        return complain(why, r, "the terminal: %s", strerror(-r));
    *ret = TAKE(terminal);
    return 0;
}

void terminal_suspend(struct terminal *terminal)
{
    if (!terminal->is_ours)
        return;
    (void)endwin();
    terminal->is_ours = false;
    signals_set_rescue(NULL);
}

void terminal_close(struct terminal *terminal)
{
    if (!terminal)
        return;
    if (terminal->screen) {
        terminal_suspend(terminal);
        if (terminal->keys)
            (void)delwin(terminal->keys);
        delscreen(terminal->screen);
    }
    if (terminal->in)
        (void)fclose(terminal->in);
    if (terminal->out)
        (void)fclose(terminal->out);
    canvas_done(&terminal->shown);
    free(terminal);
}

bool terminal_is_ascii(const struct terminal *terminal)
{
    return terminal->ascii;
}

int terminal_fd(const struct terminal *terminal)
{
    return fileno(terminal->in);
}

int terminal_output_fd(const struct terminal *terminal)
{
    return fileno(terminal->out);
}

static int length_of(unsigned short length, int usual, int max)
{
    return length ? MIN((int)length, max) : usual;
}

void terminal_size(const struct terminal *terminal, int *rows, int *columns)
{
    struct winsize size = {0};

    (void)ioctl(fileno(terminal->out), TIOCGWINSZ, &size); // 0: not known, as some are
    *rows = length_of(size.ws_row, USUAL_ROWS, CANVAS_ROWS_MAX);
    *columns = length_of(size.ws_col, USUAL_COLUMNS, CANVAS_COLUMNS_MAX);
}

bool terminal_has_room(const struct terminal *terminal)
{
    struct pollfd room = {.fd = fileno(terminal->out), .events = POLLOUT};

    return poll(&room, 1, 0) == 1 && room.revents & POLLOUT;
}

static int colour_of(const struct look *look, enum depth depth, attr_t *attributes)
{
    if (depth == DEPTH_RGB)
        return look->rgb;
    if (depth == DEPTH_PALETTE)
        return look->palette;
    if (depth == DEPTH_BRIGHT || look->basic < DEPTH_BASIC)
        return look->basic;
    if (look->basic == DEPTH_BASIC) { // a grey, which eight colours have none of
        *attributes |= A_DIM;
        return COLOUR_DEFAULT;
    }
    *attributes |= A_BOLD;
    return look->basic - DEPTH_BASIC;
}

static attr_t attributes_of(int looks)
{
    attr_t attributes = A_NORMAL;

    if (looks & LOOK_BOLD)
        attributes |= A_BOLD;
    if (looks & LOOK_DIM)
        attributes |= A_DIM;
    if (looks & LOOK_REVERSE)
        attributes |= A_REVERSE;
    if (looks & LOOK_UNDERLINE)
        attributes |= A_UNDERLINE;
    return attributes;
}

/* Each style has a pair of its own: its number and one, since 0 cannot be set. */
static void set_theme(struct terminal *terminal, const struct theme *theme)
{
    if (theme == terminal->theme)
        return;
    for (int i = 0; i < N_STYLES; i++) {
        const struct look *look = &theme->looks[i];
        bool mono = terminal->depth == DEPTH_MONO;
        attr_t attributes =
            attributes_of(mono ? look->mono_attributes : look->attributes);

        if (!mono)
            (void)init_extended_pair(i + 1, colour_of(look, terminal->depth, &attributes),
                                     COLOUR_DEFAULT);
        terminal->attributes[i] = attributes;
    }
    terminal->theme = theme;
    terminal->again = true;
}

/* A sign of a canvas is UTF-8 without an error. */
static void read_sign(const char *text, wchar_t ret[SIGN_LENGTH])
{
    static const unsigned char mask[] = {0x7f, 0, 0x1f, 0x0f, 0x07};
    size_t n = 0;

    while (*text && n < SIGN_LENGTH - 1) {
        unsigned char first = (unsigned char)*text++;
        unsigned more = first < 0x80 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
        unsigned c = first & mask[more];

        for (; more > 1 && *text; more--)
            c = c << 6 | ((unsigned char)*text++ & 0x3f);
        ret[n++] = (wchar_t)c;
    }
    ret[n] = L'\0';
}

static void show_cell(const struct terminal *terminal, int row, int column,
                      const struct cell *cell)
{
    short pair = terminal->depth == DEPTH_MONO ? 0 : (short)(cell->style + 1);
    wchar_t sign[SIGN_LENGTH];
    cchar_t shown;

    read_sign(cell->text, sign);
    if (setcchar(&shown, sign, terminal->attributes[cell->style], pair, NULL) == OK)
        (void)mvwadd_wch(stdscr, row, column,
                         &shown); // ERR in the last cell, but it is put
}

/* What is on the screen is not what we have shown: all of it is shown again. */
static void forget(struct terminal *terminal)
{
    terminal->again = true;
    (void)clearok(curscr, TRUE);
}

static int set_size(struct terminal *terminal, const struct canvas *canvas)
{
    if (canvas->rows == terminal->shown.rows &&
        canvas->columns == terminal->shown.columns)
        return 0;
    if (resize_term(canvas->rows, canvas->columns) != OK)
        return -ENOMEM;
    forget(terminal);
    return canvas_resize(&terminal->shown, canvas->rows, canvas->columns);
}

int terminal_show(struct terminal *terminal, const struct canvas *canvas,
                  const struct theme *theme)
{
    int r = set_size(terminal, canvas);
    size_t at = 0;

    if (r < 0)
        return r;
    set_theme(terminal, theme);
    for (int row = 0; row < canvas->rows; row++)
        for (int column = 0; column < canvas->columns; column++, at++) {
            const struct cell *cell = &canvas->cells[at];
            struct cell *shown = &terminal->shown.cells[at];

            if (!terminal->again && memcmp(cell, shown, sizeof(*cell)) == 0)
                continue;
            *shown = *cell;
            if (cell->text[0] != '\0') // not the right half of a wide sign
                show_cell(terminal, row, column, cell);
        }
    terminal->again = false;
    if (!terminal->is_ours) {
        terminal->is_ours = true;
        signals_set_rescue(&terminal->rescue);
    }
    (void)wrefresh(stdscr);
    return 0;
}

void terminal_resume(struct terminal *terminal)
{
    if (terminal->is_ours)
        (void)reset_prog_mode();
    forget(terminal);
}

// clang-format off
static const struct {
    wint_t from;
    int to;
} codes[] = {
    {KEY_UP, KEY_CODE_UP}, {KEY_DOWN, KEY_CODE_DOWN},
    {KEY_LEFT, KEY_CODE_LEFT}, {KEY_RIGHT, KEY_CODE_RIGHT},
    {KEY_PPAGE, KEY_CODE_PAGE_UP}, {KEY_NPAGE, KEY_CODE_PAGE_DOWN},
    {KEY_HOME, KEY_CODE_HOME}, {KEY_END, KEY_CODE_END},
    {KEY_ENTER, KEY_CODE_ENTER}, {KEY_BTAB, KEY_CODE_BACK_TAB},
    {KEY_BACKSPACE, KEY_CODE_BACKSPACE}, {KEY_DC, KEY_CODE_BACKSPACE},
}, characters[] = {
    {'\r', KEY_CODE_ENTER}, {'\n', KEY_CODE_ENTER}, {'\t', KEY_CODE_TAB},
    {'\b', KEY_CODE_BACKSPACE}, {0x7f, KEY_CODE_BACKSPACE},
};
// clang-format on

static int code_of(wint_t key)
{
    for (size_t i = 0; i < ARRAY_LEN(codes); i++)
        if (codes[i].from == key)
            return codes[i].to;
    if (key >= KEY_F(1) && key <= KEY_F(10))
        return KEY_CODE_F1 + (int)key - KEY_F(1);
    return KEY_CODE_NONE;
}

static int character_of(wint_t key)
{
    for (size_t i = 0; i < ARRAY_LEN(characters); i++)
        if (characters[i].from == key)
            return characters[i].to;
    return key < KEY_CODE_FIRST ? (int)key : KEY_CODE_NONE;
}

/*
 * Behind an Esc: the rest of a sequence that terminfo does not know, which is no key at all.
 * Esc alone has nothing behind it, and whatever else is there is a key of its own.
 */
static bool skip_sequence(struct terminal *terminal)
{
    wint_t c;
    int r = wget_wch(terminal->keys, &c);

    if (r == ERR)
        return false;
    if (r == KEY_CODE_YES || (c != '[' && c != 'O')) {
        (void)(r == KEY_CODE_YES ? ungetch((int)c) : unget_wch((wchar_t)c));
        return false;
    }
    do // parameters, then a final byte; behind an O there are none
        r = wget_wch(terminal->keys, &c);
    while (r == OK && c >= 0x20 && c < 0x40);
    return true;
}

/*
 * Bytes that are no character end with the same ERR as there being none: what has come
 * behind them is asked for once more, or it would wait for the next key.
 */
static int next_key(struct terminal *terminal, wint_t *ret)
{
    int r = wget_wch(terminal->keys, ret);

    return r == ERR ? wget_wch(terminal->keys, ret) : r;
}

int terminal_key(struct terminal *terminal)
{
    wint_t key;
    int r, code = KEY_CODE_NONE;

    while (code == KEY_CODE_NONE) {
        r = next_key(terminal, &key);
        if (r == ERR)
            return KEY_CODE_NONE;
        if (r == OK && key == KEY_CODE_ESCAPE && skip_sequence(terminal))
            continue;
        if (r == OK && key == CONTROL_L)
            terminal_resume(terminal);
        code = r == KEY_CODE_YES ? code_of(key) : character_of(key);
    }
    return code;
}
