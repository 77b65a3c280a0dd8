// SPDX-License-Identifier: Apache-2.0
/*
 * Any document on any canvas: documents of the recording of which values were changed by
 * chance, always the same, at sizes from 1 x 1 to 60 x 200, on each screen and pane.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test_gpu_allocs.h"
#include "tui_stage.h"

enum { TEXT_MAX = 4 << 20 };

#define START INT64_C(1790000000000)

/* The same numbers in every run. */
static uint32_t random_below(uint64_t *seed, uint32_t n)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33) % n;
}

static void add_odd_number(struct buf *out, uint64_t *seed)
{
    static const char *const numbers[] = {
        "0",
        "1",
        "null",
        "7",
        "-1",
        "9223372036854775807",
        "-9223372036854775807",
        "4294967296",
        "85899345920",
        "107374182",
        "1000000000000000",
        "0.5",
        "1e300",
    };

    buf_add_str(out, numbers[random_below(seed, ARRAY_LEN(numbers))]);
}

static void add_odd_text(struct buf *out, uint64_t *seed)
{
    static const char *const texts[] = {
        "\"\"",
        "null",
        "\"\\u001b[31m\\u202e\"",
        "\"\xe9\x80\x9a\xe4\xb9\x89/\\u0000\"",
        "\"sleeping\"",
        "\"unreachable\"",
        "\"estimated\"",
        "\"unknown\"",
        "\"orphan\"",
        ("\"////////////////////////////////////////////////////////////////////////////"
         "\""),
        "\"e\\u0301\\u0301\\u0301\\u0301\\u0301 a\\u200bb \xf0\x9f\x98\x80\"",
        "\"NVIDIA MIG %s %n %999999d\"",
        "\" \"",
    };

    buf_add_str(out, texts[random_below(seed, ARRAY_LEN(texts))]);
}

static bool is_value(struct span text, size_t at)
{
    return at > 0 &&
           (text.at[at - 1] == ':' || text.at[at - 1] == '[' || text.at[at - 1] == ',');
}

/* One value in `rarely` becomes another of its kind. */
static void add_changed(struct buf *out, struct span text, uint64_t *seed,
                        uint32_t rarely)
{
    for (size_t at = 0; at < text.len;) {
        size_t len = 1;
        bool is_text = text.at[at] == '"';

        if (is_text)
            while (at + len < text.len && text.at[at + len++] != '"')
                len += text.at[at + len - 1] == '\\';
        else
            while (at + len < text.len && strchr("+-.0123456789eE", text.at[at + len]) &&
                   strchr("-0123456789", text.at[at]))
                len++;
        if (!is_value(text, at) ||
            (is_text && at + len < text.len && text.at[at + len] == ':') ||
            (!is_text && !strchr("-0123456789", text.at[at])) ||
            random_below(seed, rarely) != 0)
            buf_add(out, text.at + at, len);
        else if (is_text)
            add_odd_text(out, seed);
        else
            add_odd_number(out, seed);
        at += len;
    }
}

/* The documents of the recording, each changed; those that are none any more are left. */
static size_t take_odd_documents(struct host *host, uint64_t *seed, uint32_t rarely)
{
    struct recording_entry entry;
    struct recording *recording;
    struct complaint why = {0};
    size_t taken = 0;
    struct buf text;
    char path[512];

    buf_init(&text, TEXT_MAX);
    snprintf(path, sizeof(path), "%s/recordings/host.ndjson", fixtures_dir());
    assert_int_equal(recording_open(path, &recording, &why), 0);
    while (taken < 4 && recording_next(recording, &entry, &why) == 1) {
        struct vramscope_event said = {.type = VRAMSCOPE_DETAIL,
                                       .unix_ms = entry.unix_ms};
        const struct vramscope_detail *detail;

        if (entry.kind != RECORDING_DETAIL)
            continue;
        buf_clear(&text);
        add_changed(&text, entry.text, seed, rarely);
        if (vramscope_detail_parse(text.data, text.len, &detail, NULL, 0) < 0)
            continue;
        said.detail = detail;
        assert_int_equal(host_take(host, &said), 0);
        vramscope_detail_unref(detail);
        taken++;
    }
    recording_free(recording);
    buf_done(&text);
    return taken;
}

/* A gateway's document likewise. */
static size_t take_odd_fleet(struct host *host, uint64_t *seed, uint32_t rarely)
{
    struct vramscope_event said = {.type = VRAMSCOPE_DETAIL, .unix_ms = START};
    const struct vramscope_detail *detail = NULL;
    struct buf plain, text;
    char path[512];
    FILE *file;
    size_t n;

    buf_init(&plain, TEXT_MAX);
    buf_init(&text, TEXT_MAX);
    snprintf(path, sizeof(path), "%s/fleet/fleet.json", fixtures_dir());
    file = fopen(path, "rb");
    assert_non_null(file);
    while ((n = fread(buf_reserve(&plain, 4096), 1, 4096, file)) > 0)
        plain.len += n;
    (void)fclose(file);
    for (unsigned tries = 0; !detail && tries < 20; tries++) {
        buf_clear(&text);
        add_changed(&text, buf_span(&plain), seed, rarely);
        (void)vramscope_detail_parse(text.data, text.len, &detail, NULL, 0);
    }
    n = detail != NULL;
    said.detail = detail;
    if (detail)
        assert_int_equal(host_take(host, &said), 0);
    vramscope_detail_unref(detail);
    buf_done(&plain);
    buf_done(&text);
    return n;
}

/* Each cell is a sign that may be shown, or the right half of one. */
static void check_cells(const struct canvas *canvas)
{
    for (int row = 0; row < canvas->rows; row++)
        for (int column = 0; column < canvas->columns; column++) {
            const struct cell *cell = canvas_at(canvas, row, column);

            assert_non_null(memchr(cell->text, '\0', sizeof(cell->text)));
            assert_true(cell->style < N_STYLES);
            assert_true(cell->text[0] == '\0' || (unsigned char)cell->text[0] >= ' ');
            assert_true(cell->text[0] != '\177');
        }
}

/* The same view on a canvas of the same size gives the same cells. */
static void check_same_again(struct stage *stage)
{
    struct buf before, after;

    buf_init(&before, TEXT_MAX);
    buf_init(&after, TEXT_MAX);
    stage_text(stage, &before);
    draw_view(&stage->canvas, &stage->view);
    stage_text(stage, &after);
    assert_int_equal(before.len, after.len);
    assert_memory_equal(before.data, after.data, after.len);
    buf_done(&before);
    buf_done(&after);
}

static void draw_anyhow(struct stage *stage, uint64_t *seed)
{
    static const char keys[] = "jkgGssSr/ab>1\r\033pq?e1234n0+-tc";
    int rows = 1 + (int)random_below(seed, 60),
        columns = 1 + (int)random_below(seed, 200);

    stage->view.glyphs = random_below(seed, N_GLYPHS);
    stage->view.screen = random_below(seed, N_SCREENS);
    stage->view.pane = random_below(seed, 3) ? PANE_NONE : random_below(seed, 5);
    stage->view.top = random_below(seed, 3) ? 0 : random_below(seed, 100);
    stage->view.is_recording = random_below(seed, 2);
    stage_draw(stage, rows, columns);
    check_cells(&stage->canvas);
    (void)view_key(&stage->view, keys[random_below(seed, sizeof(keys) - 1)]);
    stage_draw(stage, rows, columns);
    check_cells(&stage->canvas);
    check_same_again(stage);
}

static void test_anything(void **state)
{
    uint64_t seed = 20260101;
    size_t taken = 0, fleets = 0;

    (void)state;
    for (unsigned round = 0; round < 40; round++) {
        struct stage *stage = malloc(sizeof(*stage));
        static const uint32_t how_rarely[] = {1000000, 200, 40, 8};

        assert_non_null(stage);
        stage_init(stage);
        stage->now_unix_ms = START + 20000;
        for (unsigned i = 0; i <= round % 3; i++)
            taken += take_odd_documents(stage_add(stage, "http://odd:6767", 0), &seed,
                                        how_rarely[(round + i) % ARRAY_LEN(how_rarely)]);
        if (round % 2)
            fleets += take_odd_fleet(stage_add(stage, "http://fleet:6767", 0), &seed,
                                     2000u >> round % 4);
        stage_view(stage);
        for (unsigned i = 0; i < 50; i++)
            draw_anyhow(stage, &seed);
        stage_done(stage);
        free(stage);
    }
    assert_true(taken > 100);
    assert_true(fleets > 10);
}

/* Drawing takes no memory but that of the canvas. */
static void test_no_allocations(void **state)
{
    struct stage *stage = malloc(sizeof(*stage));
    uint64_t seed = 1;
    unsigned before;

    (void)state;
    assert_non_null(stage);
    stage_init(stage);
    (void)stage_add(stage, "http://gpu-host-1:6767", 40);
    assert_int_equal(
        take_odd_fleet(stage_add(stage, "http://fleet:6767", 0), &seed, 1000000), 1);
    stage_view(stage);
    stage_draw(stage, 40, 130);
    before = allocs;
    for (enum screen screen = 0; screen < N_SCREENS; screen++)
        for (enum pane pane = PANE_NONE; pane <= PANE_HELP; pane++) {
            stage->view.screen = screen;
            stage->view.pane = pane;
            draw_view(&stage->canvas, &stage->view);
        }
    assert_int_equal(allocs, before);
    stage_done(stage);
    free(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_anything),
        cmocka_unit_test(test_no_allocations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
