/*
 * test_random.c - hashes, counter-based random numbers, dropout.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

/* ------------------------------------------------------------------ hashes */

static bool
hashes_as(const char *text, int64_t value)
{
	return mml_hash_text(text, strlen(text)) == mml_hash_integer(value);
}

static void
test_hash_of_integers(void)
{
	static const int64_t values[] = {
		0, 1, -1, 9, 10, 42, -42, 1000000007, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN, INT64_MAX - 1
	};
	char		text[32];

	/* however a whole number comes, it is the same category */
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
	{
		snprintf(text, sizeof(text), "%lld", (long long) values[i]);
		unit_check(hashes_as(text, values[i]), "text %s is the integer", text);
	}
	/* what PostgreSQL would not print is a text of its own */
	unit_check(!hashes_as("007", 7), "007 is not 7");
	unit_check(!hashes_as("+7", 7), "+7 is not 7");
	unit_check(!hashes_as("-0", 0), "-0 is not 0");
	unit_check(!hashes_as("-07", -7), "-07 is not -7");
	unit_check(!hashes_as("7 ", 7), "a blank behind counts");
	unit_check(!hashes_as("", 0) && !hashes_as("-", 0), "no digits, no number");
	unit_check(!hashes_as("9223372036854775808", INT64_MIN), "2^63 does not wrap");
	unit_check(!hashes_as("-9223372036854775809", INT64_MAX), "-2^63 - 1 does not wrap");
	unit_check(!hashes_as("18446744073709551617", 1), "2^64 + 1 does not wrap");
	unit_check(!hashes_as("99999999999999999999999999", -1), "a very long number is a text");
	unit_check(mml_hash_text("12", 1) == mml_hash_integer(1), "only `length` bytes count");
}

static void
test_hash_bytes(void)
{
	unsigned char bytes[40];
	uint64_t	first;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char) (i * 7);
	first = mml_hash_bytes(bytes, 13, 1);
	unit_check(first == mml_hash_bytes(bytes, 13, 1), "a hash repeats");
	unit_check(first != mml_hash_bytes(bytes, 13, 2), "the seed counts");
	/* stored vocabularies hold hashes, so they may never change */
	unit_check(mml_hash_integer(1) == 0x910A2DEC89025CC1ULL, "hash of 1 as ever");
	unit_check(mml_hash_integer(-5) == 0xAD3DA448BBCC1524ULL, "hash of -5 as ever");
	unit_check(mml_hash_text("moemlora", 8) == 0x7804A74C6A63A573ULL, "hash of a text as ever");
	unit_check(mml_hash_bytes("abcdefghijk", 11, 3) == 0x684334B0BD725A59ULL, "hash of bytes as ever");
	for (size_t n = 0; n < 32; n++)
	{
		uint64_t	whole = mml_hash_bytes(bytes, n, 0);

		unit_check(whole != mml_hash_bytes(bytes, n + 1, 0), "length %zu and one more", n);
		for (size_t i = 0; i < n; i++)
		{
			bytes[i] ^= 1;
			unit_check(whole != mml_hash_bytes(bytes, n, 0), "bit of byte %zu of %zu counts", i, n);
			bytes[i] ^= 1;
		}
	}
	memset(bytes, 0, sizeof(bytes));
	unit_check(mml_hash_bytes(bytes, 3, 0) != mml_hash_bytes(bytes, 4, 0), "zeros of other lengths differ");
	unit_check(mml_combine(1, 2) != mml_combine(2, 1), "order matters to combine");
}

/* ----------------------------------------------------------------- numbers */

/* Mean, variance and fourth moment of n numbers within 5 standard errors. */
static void
check_moments(const char *what, const double *x, size_t n, double mean, double variance, double fourth)
{
	double		sum = 0.0;
	double		squares = 0.0;
	double		lag = 0.0;

	for (size_t i = 0; i < n; i++)
		sum += x[i];
	for (size_t i = 0; i < n; i++)
		squares += (x[i] - mean) * (x[i] - mean);
	for (size_t i = 1; i < n; i++)
		lag += (x[i] - mean) * (x[i - 1] - mean);
	unit_check(fabs(sum / (double) n - mean) < 5.0 * sqrt(variance / (double) n), "%s: mean %g", what,
			   sum / (double) n);
	unit_check(fabs(squares / (double) n - variance) < 5.0 * sqrt((fourth - variance * variance) / (double) n),
			   "%s: variance %g", what, squares / (double) n);
	unit_check(fabs(lag / (double) n) < 5.0 * variance / sqrt((double) n), "%s: neighbours correlate", what);
}

static void
test_moments(void)
{
	size_t		n = 100000;
	double	   *x = malloc(n * sizeof(double));
	bool		is_in_range = true;

	for (uint64_t key = 0; key < 3; key++)
	{
		for (size_t i = 0; i < n; i++)
		{
			x[i] = mml_uniform(key, i);
			is_in_range = is_in_range && x[i] >= 0.0 && x[i] < 1.0;
		}
		check_moments("uniform", x, n, 0.5, 1.0 / 12.0, 1.0 / 80.0);
		for (size_t i = 0; i < n; i++)
			x[i] = mml_normal(key, i);
		check_moments("normal", x, n, 0.0, 1.0, 3.0);
		/* neighbouring streams, as of consecutive batches */
		for (size_t i = 0; i < n; i++)
			x[i] = mml_uniform(key + i, 5);
		check_moments("uniform over streams", x, n, 0.5, 1.0 / 12.0, 1.0 / 80.0);
	}
	unit_check(is_in_range, "uniform is in [0, 1)");
	free(x);
}

static void
test_below_and_shuffle(void)
{
	uint32_t	counts[7] = {0};
	uint32_t	places[5][5] = {{0}};
	bool		is_permutation = true;

	for (uint64_t i = 0; i < 70000; i++)
		counts[mml_below(11, i, 7)]++;
	for (int i = 0; i < 7; i++)
		unit_check(abs((int) counts[i] - 10000) < 500, "below 7: %d came %u times", i, counts[i]);
	unit_check(mml_below(3, 4, 1) == 0, "below 1");
	for (uint64_t key = 0; key < 20000; key++)
	{
		uint32_t	values[5] = {0, 1, 2, 3, 4};
		unsigned	seen = 0;

		mml_shuffle(mml_mix(key), values, 5);
		for (int i = 0; i < 5; i++)
		{
			seen |= 1u << values[i];
			places[i][values[i]]++;
		}
		is_permutation = is_permutation && seen == 31;
	}
	unit_check(is_permutation, "a shuffle loses nothing");
	for (int i = 0; i < 25; i++)
		unit_check(abs((int) places[i / 5][i % 5] - 4000) < 300, "shuffle: %d at place %d %u times of 20000",
				   i % 5, i / 5, places[i / 5][i % 5]);
}

/* ----------------------------------------------------------------- dropout */

static void
check_dropout(size_t n, uint32_t threshold, float scale)
{
	float	   *x = malloc(n * sizeof(float));
	float	   *again = malloc(n * sizeof(float));
	size_t		n_rows = 400000 / n + 1;
	double		share = 1.0 - threshold / 65536.0;
	double		kept = 0.0;
	double		total = (double) (n * n_rows);
	bool		is_scaled = true;
	bool		repeats = true;

	for (size_t row = 0; row < n_rows; row++)
	{
		for (size_t j = 0; j < n; j++)
			x[j] = again[j] = (float) (j + 1);
		mml_dropout(x, n, mml_drop_key_of(99, row), threshold, scale);
		mml_dropout(again, n, mml_drop_key_of(99, row), threshold, scale);
		repeats = repeats && memcmp(x, again, n * sizeof(float)) == 0;
		for (size_t j = 0; j < n; j++)
		{
			is_scaled = is_scaled && (x[j] == 0.0f || x[j] == (float) (j + 1) * scale);
			kept += x[j] != 0.0f;
		}
	}
	unit_check(is_scaled, "dropout of %zu: kept numbers are scaled, others 0", n);
	unit_check(repeats, "dropout of %zu repeats with its key", n);
	unit_check(fabs(kept / total - share) < 5.0 * sqrt(share * (1.0 - share) / total) + 1e-12,
			   "dropout of %zu keeps %g instead of %g", n, kept / total, share);
	free(x);
	free(again);
}

/* Units of a row, and the same unit of rows and layers, must drop independently. */
static void
test_dropout_independence(void)
{
	size_t		n = 63;
	double		both[3] = {0.0, 0.0, 0.0};
	float		x[63];
	float		below[63];
	float		beside[63];
	double		total = 0.0;

	for (size_t row = 0; row < 4000; row++)
	{
		for (size_t j = 0; j < n; j++)
			x[j] = below[j] = beside[j] = 1.0f;
		mml_dropout(x, n, mml_drop_key_of(5, row), 32768, 1.0f);
		mml_dropout(below, n, mml_drop_key_of(5, row + 1), 32768, 1.0f);
		mml_dropout(beside, n, mml_drop_key_of(6, row), 32768, 1.0f);
		for (size_t j = 0; j < n; j++, total += 1.0)
		{
			both[0] += x[j] * x[(j + n / 2) % n];	/* these share 32 random bits */
			both[1] += x[j] * below[j];
			both[2] += x[j] * beside[j];
		}
	}
	for (int i = 0; i < 3; i++)
		unit_check(fabs(both[i] / total - 0.25) < 0.005, "dropout: kept together %g, case %d", both[i] / total, i);
}

static void
test_dropout(void)
{
	static const size_t sizes[] = {1, 2, 3, 7, 64, 255};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
	{
		check_dropout(sizes[i], 32768, 2.0f);
		check_dropout(sizes[i], 6554, 1.1111f);
		check_dropout(sizes[i], 0, 1.0f);
		check_dropout(sizes[i], 65536, 1.0f);
	}
	test_dropout_independence();
}

int
main(void)
{
	mml_init();
	test_hash_of_integers();
	test_hash_bytes();
	test_moments();
	test_below_and_shuffle();
	test_dropout();
	return unit_done();
}
