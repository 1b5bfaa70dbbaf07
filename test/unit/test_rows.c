/*
 * test_rows.c - values of every kind into rows: numbers, lists, vectors, what
 * is refused, and that a refused row leaves nothing behind.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

static unit_host unit;

static mml_rows *
create(const mml_field_spec *specs, int n)
{
	mml_config	config;
	mml_rows   *rows;

	mml_config_init(&config);
	config.validation = 0.0;
	unit_check(mml_rows_create_training(&unit.host, &config, specs, n, &rows) == MML_OK, "create: %s",
			   unit_error(&unit.host));
	return rows;
}

static mml_status
end_row(mml_rows *rows, double label, mml_split split)
{
	mml_row_facts facts = {.label = label,.weight = 1.0,.domain = "d",.domain_length = 1,.split = split};

	return mml_rows_end_training(rows, &facts);
}

static void
finish(mml_rows *rows)
{
	unit_check(mml_rows_finish(rows) == MML_OK, "finish: %s", unit_error(&unit.host));
}

/* -------------------------------------------------------------- numbers */

static float
z_of(const mml_rows *rows, size_t row, int field)
{
	float		z;

	memcpy(&z, mml_rows_record(rows, row) + rows->fields[field].slot, sizeof(z));
	return z;
}

/* Rows of one number each; NaN stands for NULL.  From `n_train` on they validate. */
static mml_rows *
rows_of_numbers(const double *x, size_t n, size_t n_train, bool log1p, bool standardize)
{
	mml_field_spec spec = {.name = "x",.kind = MML_NUMERIC,.log1p = log1p,.standardize = standardize};
	mml_rows   *rows = create(&spec, 1);

	for (size_t i = 0; i < n; i++)
	{
		(void) mml_rows_begin(rows);
		if (isnan(x[i]))
			(void) mml_put_null(rows, 0);
		else if (x[i] == floor(x[i]) && fabs(x[i]) < 1e15 && i % 2 == 0)
			(void) mml_put_integer(rows, 0, (int64_t) x[i]);
		else
			(void) mml_put_real(rows, 0, x[i]);
		(void) end_row(rows, i % 2, i < n_train ? MML_SPLIT_TRAIN : MML_SPLIT_VALID);
	}
	finish(rows);
	return rows;
}

static void
test_standardising(void)
{
	static const double x[] = {3.0, NAN, -1.5, 8.0, 2.0, 0.0, 1e6, NAN, -7.0};
	mml_rows   *rows = rows_of_numbers(x, 9, 6, false, true);
	double		mean = (3.0 - 1.5 + 8.0 + 2.0 + 0.0) / 5;
	double		squares = 0.0;

	for (int i = 0; i < 6; i++)
		squares += isnan(x[i]) ? 0.0 : (x[i] - mean) * (x[i] - mean);
	unit_close(rows->fields[0].mean, mean, 1e-15, "mean of the training rows with a value");
	unit_close(1.0 / rows->fields[0].inverse_std, sqrt(squares / 5), 1e-15, "std of them, divided by n");
	for (size_t i = 0; i < 9; i++)
		unit_check(z_of(rows, i, 0) == (isnan(x[i]) ? 0.0f : (float) ((x[i] - mean) / sqrt(squares / 5))) ||
				   fabs(z_of(rows, i, 0) - (x[i] - mean) / sqrt(squares / 5)) < 1e-6 * fabs(x[i]),
				   "z of row %zu: %g", i, z_of(rows, i, 0));
	unit_check(z_of(rows, 1, 0) == 0.0f && z_of(rows, 7, 0) == 0.0f, "NULL is z = 0");
	mml_rows_free(rows);
	rows = rows_of_numbers(x, 9, 6, true, false);
	unit_close(z_of(rows, 0, 0), log(4.0), 1e-7, "log1p, not standardised");
	unit_close(z_of(rows, 2, 0), -log(2.5), 1e-7, "log1p keeps the sign");
	unit_check(z_of(rows, 5, 0) == 0.0f && z_of(rows, 1, 0) == 0.0f, "log1p of 0, and NULL");
	mml_rows_free(rows);
}

/* A column that never changes in training must not blow up another value later. */
static void
check_constant(double constant, size_t n)
{
	double	   *x = malloc((n + 1) * sizeof(double));
	mml_rows   *rows;

	for (size_t i = 0; i < n; i++)
		x[i] = constant;
	x[n] = constant + 1.0;
	rows = rows_of_numbers(x, n + 1, n, false, true);
	unit_check(z_of(rows, 0, 0) == 0.0f && z_of(rows, n, 0) == 0.0f, "%zu times %g: z %g, and of another value %g", n,
			   constant, z_of(rows, 0, 0), z_of(rows, n, 0));
	mml_rows_free(rows);
	free(x);
}

static void
test_constant_numbers(void)
{
	static const double constants[] = {0.0, 0.1, -3.7e8, 1e-300, 1234567.1, 0.7};

	for (size_t c = 0; c < sizeof(constants) / sizeof(constants[0]); c++)
	{
		/* the mean of equal numbers is not always that number */
		for (size_t n = 1; n < 60; n++)
			check_constant(constants[c], n);
		check_constant(constants[c], 20000);
	}
}

/* A time in seconds, say: the mean needs every bit. */
static void
test_large_numbers(void)
{
	size_t		n = 20000;
	double	   *x = malloc(n * sizeof(double));
	mml_rows   *rows;

	for (size_t i = 0; i < n; i++)
		x[i] = i % 2 == 0 ? 1e9 : 1e9 + 1e-3;
	rows = rows_of_numbers(x, n, n, false, true);
	unit_check(fabs(z_of(rows, 0, 0) + 1.0) < 1e-2 && fabs(z_of(rows, 1, 0) - 1.0) < 1e-2,
			   "a small change of a large number counts: %g %g", z_of(rows, 0, 0), z_of(rows, 1, 0));
	mml_rows_free(rows);
	free(x);
}

static void
test_huge_numbers(void)
{
	static const double x[] = {1.7e308, 1.7e308, -1.7e308, 1.0};
	static const double nulls[] = {NAN, NAN, 5.0};
	mml_rows   *rows = rows_of_numbers(x, 4, 4, false, true);

	for (size_t i = 0; i < 4; i++)
		unit_check(isfinite(z_of(rows, i, 0)), "z of %g is %g", x[i], z_of(rows, i, 0));
	unit_check(isfinite(rows->fields[0].mean) && isfinite(rows->fields[0].inverse_std), "mean and std can be stored");
	mml_rows_free(rows);
	rows = rows_of_numbers(nulls, 3, 2, false, true);
	unit_check(z_of(rows, 2, 0) == 0.0f, "a column that training never saw: %g", z_of(rows, 2, 0));
	mml_rows_free(rows);
}

static void
test_buckets(void)
{
	static const double boundaries[] = {18.0, 25.0, 35.5};
	static const double x[] = {-1e300, 17.999, 18.0, 24.0, 25.0, 35.0, 35.5, 1e300};
	static const int same_as_next[] = {1, 0, 1, 0, 1, 0, 1};
	mml_field_spec spec = {.name = "age",.kind = MML_CATEGORICAL,.boundaries = boundaries,.n_boundaries = 3};
	mml_rows   *rows = create(&spec, 1);

	for (size_t i = 0; i < 8; i++)
	{
		(void) mml_rows_begin(rows);
		(void) (x[i] == 24.0 ? mml_put_integer(rows, 0, 24) : mml_put_real(rows, 0, x[i]));
		(void) end_row(rows, 1.0, MML_SPLIT_TRAIN);
	}
	(void) mml_rows_begin(rows);
	unit_check(mml_put_text(rows, 0, "24", 2) == MML_BAD_DATA, "buckets are for numbers");
	finish(rows);
	unit_check(rows->fields[0].table_rows == MML_ID_FIRST + 4, "4 buckets are met: %u", rows->fields[0].table_rows);
	for (size_t i = 0; i < 7; i++)
		unit_check((mml_rows_record(rows, i)[MML_ROW_HEAD] == mml_rows_record(rows,
																			  i + 1)[MML_ROW_HEAD]) == same_as_next[i],
				   "buckets of %g and %g", x[i], x[i + 1]);
	mml_rows_free(rows);
}

/* ------------------------------------------------------------------- lists */

/* The j-th item of row i of the big test, and how many it has. */
static uint32_t
n_items_of(uint32_t i)
{
	return i == 40 ? MML_MAX_ITEMS : i % 9 == 0 ? 0 : 1 + (i * 131) % 4000;
}

static int64_t
item_of(uint32_t i, uint32_t j)
{
	return (int64_t) ((i * 17 + j * j) % 500);
}

static const uint32_t *
list_of(const mml_rows *rows, size_t row, int field, uint32_t *n)
{
	const uint32_t *slot = mml_rows_record(rows, row) + rows->fields[field].slot;

	*n = slot[1];
	if (*n == 0)
		return NULL;
	return (uint32_t *) mml_arena_at(&rows->arena, rows->item_pages[slot[0] >> MML_ITEM_SHIFT]) +
		(slot[0] & (((uint32_t) 1 << MML_ITEM_SHIFT) - 1));
}

static mml_status
put_list(mml_rows *rows, int field, uint32_t i)
{
	MML_TRY(mml_put_items_begin(rows, field));
	for (uint32_t j = 0; j < n_items_of(i); j++)
	{
		char		text[32];

		/* some as text: the same category */
		if (j % 3 != 0)
			MML_TRY(mml_put_item_integer(rows, field, item_of(i, j)));
		else
		{
			snprintf(text, sizeof(text), "%d", (int) item_of(i, j));
			MML_TRY(mml_put_item_text(rows, field, text, strlen(text)));
		}
	}
	return mml_put_items_end(rows, field);
}

/* Two lists a row, some of which meet the end of a page; 300,000 items and more. */
static void
test_lists(void)
{
	mml_field_spec specs[] = {{.name = "a",.kind = MML_MULTI}, {.name = "b",.kind = MML_MULTI}};
	mml_rows   *rows = create(specs, 2);
	const mml_vocabulary *vocabulary = &rows->fields[0].vocabulary;
	size_t		n_wrong = 0;

	for (uint32_t i = 0; i < 100; i++)
	{
		mml_status	status = mml_rows_begin(rows);

		status = status == MML_OK ? put_list(rows, 1, i / 2) : status;
		status = status == MML_OK ? put_list(rows, 0, i) : status;
		status = status == MML_OK ? end_row(rows, 0.0, MML_SPLIT_TRAIN) : status;
		unit_check(status == MML_OK, "lists of row %u: %s", i, unit_error(&unit.host));
	}
	finish(rows);
	for (uint32_t i = 0; i < 100; i++)
	{
		uint32_t	n;
		const uint32_t *ids = list_of(rows, i, 0, &n);
		uint32_t	n_other;
		const uint32_t *others = list_of(rows, i, 1, &n_other);

		n_wrong += n != n_items_of(i) || n_other != n_items_of(i / 2);
		for (uint32_t j = 0; j < n && n_wrong == 0; j++)
			n_wrong += ids[j] != mml_vocabulary_find(vocabulary, mml_hash_integer(item_of(i, j)));
		for (uint32_t j = 0; j < n_other && n_wrong == 0; j++)
			n_wrong += others[j] != mml_vocabulary_find(&rows->fields[1].vocabulary, mml_hash_integer(item_of(i / 2,
																											  j)));
	}
	unit_check(n_wrong == 0, "lists over %zu pages: %zu wrong", rows->n_item_pages, n_wrong);
	unit_check(rows->n_item_pages > 3, "only %zu pages", rows->n_item_pages);
	mml_rows_free(rows);
}

static void
test_list_limit(void)
{
	mml_field_spec spec = {.name = "tags",.kind = MML_MULTI};
	mml_rows   *rows = create(&spec, 1);
	mml_status	status = mml_rows_begin(rows);
	uint32_t	n;

	(void) mml_put_items_begin(rows, 0);
	for (uint32_t j = 0; j <= MML_MAX_ITEMS && status == MML_OK; j++)
		status = mml_put_item_integer(rows, 0, 1);
	unit_check(status == MML_LIMIT, "one element too many: status %d", status);
	unit_check(strstr(unit_error(&unit.host), "65536") != NULL, "the text says the limit: %s", unit_error(&unit.host));
	/* the row is gone; the next one starts afresh */
	for (int i = 0; i < 2; i++)
	{
		(void) mml_rows_begin(rows);
		(void) mml_put_items_begin(rows, 0);
		for (int j = 0; j < 3; j++)
			(void) mml_put_item_integer(rows, 0, 7 + j);
		(void) mml_put_items_end(rows, 0);
		unit_check(end_row(rows, 1.0, MML_SPLIT_TRAIN) == MML_OK, "a row after a refused one");
	}
	finish(rows);
	unit_check(mml_rows_count(rows) == 2, "%zu rows", mml_rows_count(rows));
	unit_check(rows->fields[0].vocabulary.n == 3, "a refused row leaves no value: %u", rows->fields[0].vocabulary.n);
	unit_check(memcmp(list_of(rows, 0, 0, &n), list_of(rows, 1, 0, &n), 3 * sizeof(uint32_t)) == 0,
			   "both lists are equal");
	mml_rows_free(rows);
}

int
main(void)
{
	mml_init();
	unit_host_init(&unit);
	test_standardising();
	test_constant_numbers();
	test_large_numbers();
	test_huge_numbers();
	test_buckets();
	test_lists();
	test_list_limit();
	unit_check(unit.n_held == 0, "%ld pieces of memory are kept", unit.n_held);
	return unit_done();
}
