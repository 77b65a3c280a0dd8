// SPDX-License-Identifier: Apache-2.0
#include "base/number.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { RANDOM_DECIMALS = 1000000 };

#define TEN "0000000000"
#define FIFTY TEN TEN TEN TEN TEN
#define SIXTY TEN FIFTY

static const double UNTOUCHED = 12345;

// clang-format off
static const struct {
    const char *row;
    const char *text;
    int r;
    double value;
} decimals[] = {
    {"zero", "0", 0, 0.0},
    {"negative zero", "-0", 0, -0.0},
    {"zero of many digits", "000.000", 0, 0.0},
    {"zero with an exponent", "0e999999999999", 0, 0.0},
    {"one", "1", 0, 1.0},
    {"plus sign", "+1.5", 0, 1.5},
    {"minus sign", "-1.5", 0, -1.5},
    {"leading zeros", "007", 0, 7.0},
    {"one tenth", "0.1", 0, 0.1},
    {"as Go prints it", "0.11223878211531546", 0, 0.11223878211531546},
    {"exponent with a plus", "1e+06", 0, 1e6},
    {"exponent with a minus", "5e-05", 0, 5e-05},
    {"exponent without a sign", "1e3", 0, 1e3},
    {"capital exponent", "1E3", 0, 1e3},
    {"exponent of three digits", "3.5915956224e+010", 0, 35915956224.0},
    {"fraction and exponent", "1.0214653952e+10", 0, 10214653952.0},
    {"leading zeros in the exponent", "1e0000000000000003", 0, 1e3},
    {"unix time", "1.7634000001234567e+09", 0, 1763400000.1234567},
    {"largest 64 bits", "18446744073709551615", 0, 18446744073709551615.0},
    {"one past 2^53, half to even", "9007199254740993", 0, 9007199254740992.0},
    {"three past 2^53, half to even", "9007199254740995", 0, 9007199254740996.0},
    {"half, and a little in the 21st digit", "9007199254740993.00001", 0, 9007199254740994.0},
    {"19 digits", "1234567890123456789", 0, 1234567890123456789.0},
    {"20 digits", "12345678901234567890", 0, 12345678901234567890.0},
    {"largest finite", "1.7976931348623157e308", 0, 1.7976931348623157e308},
    {"smallest normal", "2.2250738585072014e-308", 0, 2.2250738585072014e-308},
    {"smallest of all", "4.9406564584124654e-324", 0, 4.9406564584124654e-324},
    {"between two subnormals", "2.2250738585072011e-308", 0, 2.2250738585072011e-308},
    {"too small becomes 0", "1e-400", 0, 0.0},
    {"too small by far", "1e-99999999999999", 0, 0.0},
    {"exponent takes back the zeros", "0." FIFTY "1e51", 0, 1.0},
    {"64 bytes", "1" SIXTY "e-0", 0, 1e60},
    {"too large", "1e309", -ERANGE, 0},
    {"too large by a digit", "1.7976931348623159e308", -ERANGE, 0},
    {"too large by far", "-1e99999999999999", -ERANGE, 0},
    {"NaN", "NaN", -EDOM, 0},
    {"nan", "nan", -EDOM, 0},
    {"Inf", "Inf", -EDOM, 0},
    {"+Inf", "+Inf", -EDOM, 0},
    {"-Inf", "-Inf", -EDOM, 0},
    {"-INF", "-INF", -EDOM, 0},
    {"empty", "", -EINVAL, 0},
    {"sign only", "-", -EINVAL, 0},
    {"two signs", "+-1", -EINVAL, 0},
    {"dot only", ".", -EINVAL, 0},
    {"nothing before the dot", ".5", -EINVAL, 0},
    {"nothing after the dot", "5.", -EINVAL, 0},
    {"dot, then exponent", "5.e3", -EINVAL, 0},
    {"two dots", "1.2.3", -EINVAL, 0},
    {"exponent only", "e5", -EINVAL, 0},
    {"exponent without digits", "1e", -EINVAL, 0},
    {"exponent of a sign", "1e+", -EINVAL, 0},
    {"exponent with two signs", "1e+-3", -EINVAL, 0},
    {"exponent with a dot", "1e1.5", -EINVAL, 0},
    {"two exponents", "1e1e1", -EINVAL, 0},
    {"leading blank", " 1", -EINVAL, 0},
    {"trailing blank", "1 ", -EINVAL, 0},
    {"carriage return", "1\r", -EINVAL, 0},
    {"line feed", "1\n", -EINVAL, 0},
    {"hexadecimal", "0x10", -EINVAL, 0},
    {"hexadecimal float", "0x1p3", -EINVAL, 0},
    {"digit separator", "1_000", -EINVAL, 0},
    {"thousands", "1,000", -EINVAL, 0},
    {"decimal comma", "1,5", -EINVAL, 0},
    {"suffix", "1f", -EINVAL, 0},
    {"nan of MSVC", "-nan(ind)", -EINVAL, 0},
    {"negative nan", "-nan", -EINVAL, 0},
    {"nan with a payload", "nan(0x1)", -EINVAL, 0},
    {"infinity in full", "infinity", -EINVAL, 0},
    {"None", "None", -EINVAL, 0},
    {"digits of another script", "\xd9\xa1", -EINVAL, 0},
    {"65 bytes", "1" SIXTY TEN, -EINVAL, 0},
};

static const struct {
    const char *row;
    const char *text;
    uint64_t max;
    int r;
    uint64_t value;
} integers[] = {
    {"zero", "0", 0, 0, 0},
    {"leading zeros", "000000000000000000000000000000012", 12, 0, 12},
    {"largest", "18446744073709551615", UINT64_MAX, 0, UINT64_MAX},
    {"max", "1000", 1000, 0, 1000},
    {"past max", "1001", 1000, -ERANGE, 0},
    {"past 64 bits", "18446744073709551616", UINT64_MAX, -ERANGE, 0},
    {"past 64 bits by a digit", "184467440737095516150", UINT64_MAX, -ERANGE, 0},
    {"wraps to a small one", "18446744073709551617", 10, -ERANGE, 0},
    {"empty", "", 10, -EINVAL, 0},
    {"plus", "+1", 10, -EINVAL, 0},
    {"minus", "-1", 10, -EINVAL, 0},
    {"leading blank", " 1", 10, -EINVAL, 0},
    {"trailing blank", "1 ", 10, -EINVAL, 0},
    {"fraction", "1.0", 10, -EINVAL, 0},
    {"exponent", "1e1", 10, -EINVAL, 0},
    {"hexadecimal", "0x1", 10, -EINVAL, 0},
    {"None", "None", 10, -EINVAL, 0},
    {"too large, then no digit", "99999999999999999999x", 10, -EINVAL, 0},
};
// clang-format on

static bool same_bits(double a, double b)
{
    return memcmp(&a, &b, sizeof(a)) == 0;
}

static void test_decimals(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(decimals); i++) {
        double value = UNTOUCHED;
        int r = number_read(span_of(decimals[i].text), &value);

        if (r != decimals[i].r ||
            !same_bits(value, r == 0 ? decimals[i].value : UNTOUCHED))
            fail_msg("[%s] is %d: %.17g", decimals[i].row, r, value);
    }
}

static void test_integers(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(integers); i++) {
        uint64_t value = 77;
        int r = number_read_u64(span_of(integers[i].text), integers[i].max, &value);

        if (r != integers[i].r || value != (r == 0 ? integers[i].value : 77))
            fail_msg("[%s] is %d: %ju", integers[i].row, r, (uintmax_t)value);
    }
}

/* xorshift64*: the same numbers on every run. */
static uint64_t next_random(void)
{
    static uint64_t x = 0x9e3779b97f4a7c15U;

    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    return x * 0x2545f4914f6cdd1dU;
}

/* Up to 25 digits with a dot somewhere, and an exponent that may leave the range. */
static size_t write_any(char *text)
{
    uint64_t random = next_random();
    unsigned digits = 1 + (unsigned)(random % 25);
    unsigned dot = (unsigned)((random >> 8) % digits) + 1;
    size_t n = 0;

    if (random >> 63)
        text[n++] = '-';
    for (unsigned i = 0; i < digits; i++) {
        text[n++] = (char)('0' + next_random() % 10);
        if (i + 1 == dot && dot < digits)
            text[n++] = '.';
    }
    if (random >> 62 & 1)
        n += (size_t)snprintf(text + n, 8, "e%d", (int)((random >> 16) % 660) - 340);
    return n;
}

/* Short ones, as counters and ratios are, whose exponents the fast paths take. */
static size_t write_short(char *text)
{
    uint64_t random = next_random();
    uint64_t mantissa = next_random() >> (random & 63);

    return (size_t)snprintf(text, 40, "%jue%d", (uintmax_t)mantissa,
                            (int)((random >> 8) % 42) - 21);
}

/* Exactly between two doubles, or one unit of the last digit beside that. */
static size_t write_halfway(char *text)
{
    uint64_t random = next_random();
    uint64_t middle = (1ULL << 53 | next_random() >> 11) << 1 | 1; // 54 or 55 bits
    unsigned n = (unsigned)(random & 3);

    for (unsigned i = 0; i < n; i++)
        middle *= 5; // middle / 10^n is then middle / 2^n
    middle = middle - 1 + (random >> 8) % 3;
    return (size_t)snprintf(text, 40, "%jue-%u", (uintmax_t)middle, n);
}

static void test_rounding(void **state)
{
    static size_t (*const writers[])(char *) = {write_any, write_short, write_halfway};

    (void)state;
    for (unsigned i = 0; i < RANDOM_DECIMALS; i++) {
        char text[64];
        size_t len = writers[i % ARRAY_LEN(writers)](text);
        double value = 0, expected;
        int r = number_read((struct span){text, len}, &value);

        text[len] = '\0';
        expected = strtod(text, NULL);
        if (isfinite(expected) ? r != 0 || !same_bits(value, expected) : r != -ERANGE)
            fail_msg("[%s] is %d: %a, expected %a", text, r, value, expected);
    }
}

/* What follows the span must not be looked at. */
static void test_span_ends(void **state)
{
    double value;

    (void)state;
    assert_int_equal(number_read((struct span){"12e5", 2}, &value), 0);
    assert_true(same_bits(value, 12));
    assert_int_equal(number_read((struct span){"1e-400", 4}, &value), 0);
    assert_true(same_bits(value, 1e-4));
    assert_int_equal(number_read((struct span){"1e-300", 6}, &value), 0);
    assert_true(same_bits(value, 1e-300));
    assert_int_equal(number_read((struct span){"infinite", 3}, &value), -EDOM);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decimals),
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_rounding),
        cmocka_unit_test(test_span_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
